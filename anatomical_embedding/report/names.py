"""How the report calls methods, models and decisions: the words of the field instead of identifiers of the run file."""

METHODS = {
    "same_coordinate": "same coordinate",
    "body_affine": "body boxes aligned",
    "ncc": "intensity correlation (NCC)",
    "affine_start": "affine start",
}
FAMILIES = (("cross_sam", "Cross-SAM"), ("sampp", "SAM++"), ("sam", "SAM"))
"""Beginnings of a model's name, longest first, and the published name of the method."""

DECISIONS = {
    "found": "found",
    "review": "review",
    "out_of_view": "out of view",
    "failed": "failed",
    "unknown": "unknown",
}


def method_words(method: str) -> str:
    """Return a method in words.

    Examples
    --------
    >>> method_words("stable_points"), method_words("ncc")
    ('stable points', 'intensity correlation (NCC)')
    """
    return METHODS.get(method, method.replace("_", " "))


def model_words(model: str) -> str:
    """Return a model's name as people write it; one that begins with no published name is only spaced.

    Examples
    --------
    >>> model_words("sampp"), model_words("cross_sam_m1"), model_words("samples_2019")
    ('SAM++', 'Cross-SAM m1', 'samples 2019')
    """
    for prefix, family in FAMILIES:
        rest = model.removeprefix(prefix)
        if model.startswith(prefix) and (not rest or rest.startswith("_")):
            return f"{family}{rest.replace('_', ' ')}"
    return model.replace("_", " ")


def landmark_words(landmark: str) -> str:
    """Return a landmark or an organ in words.

    Examples
    --------
    >>> landmark_words("lung_root_right")
    'lung root right'
    """
    return landmark.replace("_", " ")


def answer_words(method: str, model: str | None) -> str:
    """Return who answered: a method, and the model that it used.

    Examples
    --------
    >>> answer_words("stable_points", "sampp"), answer_words("same_coordinate", None)
    ('stable points, SAM++', 'same coordinate')
    """
    return method_words(method) if model is None else f"{method_words(method)}, {model_words(model)}"
