"""The base class of all sections of a problem file, and the types of their values.

Values are checked strictly: a string is no number, true is not 1, and nan and inf are refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Natural = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Value = Real | Text | tuple[Real | Text, ...]


class Section(BaseModel):
    """A section of a problem file: an immutable model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)
