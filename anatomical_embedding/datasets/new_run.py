"""A run file that trains on a folder of scans, as the verb `new` writes it."""

import re
from collections.abc import Sequence
from pathlib import Path

from anatomical_embedding.datasets.listing import list_raw_volumes
from anatomical_embedding.datasets.scan_folder import ScanFolder
from anatomical_embedding.errors import InputFileError
from anatomical_embedding.identifiers import is_identifier
from anatomical_embedding.settings.organs import TABLES, organs_of_table
from anatomical_embedding.settings.pipeline import read_pipeline_settings

FEWEST_PATIENTS = 4
"""One trains, one validates, and where organs are known two are scored."""
PATIENTS_A_TESTED_ONE = 5
PATIENTS_A_VALIDATING_ONE = 10
MOST_LANDMARKED_ORGANS = 12


def run_file_text(folder: ScanFolder, *, name: str) -> str:
    """Return a run file that trains on a folder of scans, with comments.

    Parameters
    ----------
    folder : what was found.
    name : of the data set, and of the folder of the results.

    Raises
    ------
    InputFileError
        naming the folder, if it has too few patients.
    SettingsError
        naming the key at fault, such as a root that no path of a run may be.
    """
    if folder.num_patients < FEWEST_PATIENTS:
        raise InputFileError(
            folder.root,
            f"has scans of {folder.num_patients} patients, expected {FEWEST_PATIENTS} or more to train on and validate",
        )
    lines = [
        f"title: {name.replace('_', ' ')}",
        f"results: results/{name} # folder of everything that the run writes",
        "datasets:",
        *_indented(_dataset_lines(folder, name=name)),
        *_model_lines(folder, name=name),
    ]
    return "\n".join(lines) + "\n"


def check_run(content: dict, *, name: str) -> None:
    """Refuse a run file whose settings are not sound, or whose scans cannot be listed.

    Raises
    ------
    UserError
        saying what is wrong.
    """
    dataset = read_pipeline_settings(content).datasets[name]
    list_raw_volumes(dataset, made_folder=Path("results"))


def name_of_folder(root: Path) -> str:
    """Return what the data set of a folder is called: the folder's name, with what no name may hold replaced.

    Examples
    --------
    >>> name_of_folder(Path("/data/my scans (2)")), name_of_folder(Path("/data/-"))
    ('my_scans_2', 'scans')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", root.name).strip("_")
    return name if is_identifier(name) else "scans"


def _dataset_lines(folder: ScanFolder, *, name: str) -> list[str]:
    validation = max(1, folder.num_patients // PATIENTS_A_VALIDATING_ONE)
    tested = max(2, folder.num_patients // PATIENTS_A_TESTED_ONE) if folder.organs else 0
    lines = [f"kind: {folder.kind} # {folder.num_patients} patients"]
    if folder.modality is not None:
        how = "by their file names" if folder.kind == "case_folders" else "by a few of the scans"
        lines.append(f"modality: {folder.modality} # {how}; change it if it is wrong")
    lines.append(f"root: {_quoted(str(folder.root))}")
    if folder.series is not None:
        lines.append(f"series: {_series_text(folder.series)} # of the folders of DICOM that hold several")
    if folder.patient_pattern is not None:
        lines.append(
            f"patient_pattern: {_quoted(folder.patient_pattern)} # the patient's number opens the file name"
        )
    if folder.maybe_pattern is not None:
        lines.append(
            f"# patient_pattern: {_quoted(folder.maybe_pattern)} # without #, if "
            f"{' and '.join(folder.maybe_one_patient)} are of one patient"
        )
    if folder.label_maps and not folder.organs:
        lines.append(
            f"# label_map: {_quoted(folder.label_maps[0])} # without #, and with the names of its labels 1, 2, ... :"
        )
        lines.append("# organs: [liver, spleen] # also landmarks and evaluations, see docs/configuration.md")
    if folder.organs:
        lines.append(f"organs: {_organs_text(folder.organs)} # their order gives their labels")
        landmarked = folder.organs[:MOST_LANDMARKED_ORGANS]
        lines.append("landmarks: # what is scored; also: top, bottom, left, right, front, back")
        lines += [f"  {organ}: [centroid]" for organ in landmarked]
    lines.append(
        f"split: {{num_test: {tested}, num_validation: {validation}, seed: 1}} # patients; the others train"
    )
    return [f"{name}:", *_indented(lines)]


def _model_lines(folder: ScanFolder, *, name: str) -> list[str]:
    if folder.kind == "ct_mr_pairs":
        return [
            "models:",
            "  first: # every volume for itself; its matches find how the scans of a patient lie",
            "    recipe: cross_sam_first_small # minutes on a few cores; cross_sam_first_published for a GPU",
            f"    training: {{mix: {{{name}: 2}}}} # volumes in a batch",
            "  second: # CT against MR",
            "    recipe: cross_sam_small",
            "    initial_model: first",
            f"    training: {{mix: {{{name}: 2}}}}",
            "    registered: {registration: pairs}",
            "registrations:",
            "  pairs:",
            f"    dataset: {name}",
            "    pairs: {fixed_modality: ct, moving_modality: mr, splits: [train]}",
            "    guide: {recipe: small, model: first}",
            "    deeds: {recipe: small}",
        ]
    lines = [
        "models:",
        "  sam:",
        "    recipe: sam_small # minutes on a few cores; sam_nih_published, the published training, for a GPU",
        f"    training: {{mix: {{{name}: 2}}}} # volumes in a batch",
    ]
    if folder.organs:
        lines += [
            "evaluations:",
            f"  {name}: {{dataset: {name}, models: [sam]}} # landmarks of the test patients",
        ]
    return lines


def _organs_text(organs: Sequence[str]) -> str:
    """Return the organs as a list, or the name of the table that has just these."""
    for table in sorted(TABLES.glob("*.txt")):
        if set(organs_of_table(table.stem)) == set(organs):
            return table.stem
    return f"[{', '.join(organs)}]"


def _series_text(series: str | dict[str, str]) -> str:
    """Return the choice of series as YAML; numbers are quoted, so that they stay as they are written."""
    if isinstance(series, str):
        return f'"{series}"'
    return "{" + ", ".join(f'{_quoted(name)}: "{number}"' for name, number in series.items()) + "}"


def _quoted(text: str) -> str:
    """Return a text as a double-quoted YAML scalar if it needs quotes."""
    if re.fullmatch(r"[A-Za-z0-9_./~][A-Za-z0-9_./-]*", text):
        return text
    return "'" + text.replace("'", "''") + "'"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
