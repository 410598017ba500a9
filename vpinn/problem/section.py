"""The base class of all sections of a problem file, and the types of their values.

Values are checked strictly: a string is no number, true is not 1, and nan and inf are refused.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from vpinn.registry import names

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Natural = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Value = Real | Text | tuple[Real | Text, ...]


class Added:
    """The type of a name that was registered from outside, see `vpinn.registry`.

    Args:
        kind: kind of the part.
        further: names of this package that are no choice of the key's own list.
    """

    def __init__(self, kind: str, further: tuple[str, ...] = ()) -> None:
        self._kind, self._further = kind, further

    def _check(self, name: str) -> str:
        if name not in self._further and name not in names(self._kind):
            raise PydanticCustomError("added", "no such part", {"names": list(names(self._kind))})
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = [*self._further, *names(self._kind)]
        return {"type": "string", "enum": known} if known else {"not": {}}


class Section(BaseModel):
    """A section of a problem file: an immutable model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)
