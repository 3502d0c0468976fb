"""What all settings share: frozen, unknown keys refused, every field described."""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Settings(BaseModel):
    """Base of every settings section.

    Values are checked once, when the configuration is read, and cannot change afterwards. A key that no field
    knows is refused, so that a misspelt setting never runs silently with another value. Units stand in the names
    (`_mm`, `_vox`, `_seconds`). Fields have no defaults for scientific values: those stand in `recipes/`.
    """

    # Not use_attribute_docstrings, which reads the source of every section whenever a stage starts.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema with the text below each field as its description."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for section in reversed(cls.__mro__):
            if issubclass(section, Settings):
                for name, text in _texts_below_fields(section).items():
                    properties[name]["description"] = text
        return schema


def _texts_below_fields(section: type) -> dict[str, str]:
    """Return field -> the text that stands below it in the source of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
