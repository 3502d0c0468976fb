"""What all settings share: frozen, unknown keys refused, every field described."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every settings section.

    Values are checked once, when the configuration is read, and cannot change afterwards. A key that no field
    knows is refused, so that a misspelt setting never runs silently with another value. Units stand in the names
    (`_mm`, `_vox`, `_seconds`). Fields have no defaults for scientific values: those stand in `recipes/`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
