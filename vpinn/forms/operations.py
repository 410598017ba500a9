"""Operations of expression graphs besides sums and products, on tensors and plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import torch
from torch import Tensor

from vpinn.placement import HOST

Value: TypeAlias = Tensor | float
"""One number per point, or one for all of them."""
CONDITIONS: Final = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "and", "or", "not")
"""Operations whose results are true or false."""


def _number(value: Value, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(like, value)


def _both(operation: Callable[..., Tensor]) -> Callable[[Value, Value], Tensor]:
    """Return a binary operation that takes plain numbers in either place."""

    def apply(a: Value, b: Value) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        return operation(_number(a, like), _number(b, like))  # type: ignore[arg-type]

    return apply


def _where(condition: Tensor, a: Value, b: Value, like: Tensor | None = None) -> Tensor:
    """Return a or b; a condition that the points fix comes as 0 or 1, and ``like`` has the precision of two numbers."""
    chosen = condition if condition.dtype == torch.bool else condition != 0
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = torch.full_like(chosen if like is None else like, a, dtype=torch.float64 if like is None else like.dtype)
    return torch.where(chosen, a, b)


TORCH: Final[dict[str, Callable[..., Tensor]]] = {
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "abs": torch.abs,
    "min": _both(torch.minimum),
    "max": _both(torch.maximum),
    "sqrt": torch.sqrt,
    "exp": torch.exp,
    "ln": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "atan2": _both(torch.atan2),
    "erf": torch.erf,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "where": _where,
}


def _one_by_one(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return an operation whose bits do not depend on how many values are computed at once.

    Torch computes values in fours or eights, and what is left over by another algorithm; those that are not next to each other
    in memory it computes singly.
    """

    def apply(*values: Value) -> Tensor:
        return operation(*(v.repeat_interleave(2)[::2] if isinstance(v, Tensor) and v.dim() else v for v in values))

    return apply


FIXED: Final[Mapping[str, Callable[..., Tensor]]] = TORCH | {
    name: _one_by_one(TORCH[name]) for name in ("power", "sinh", "cosh", "atan2")
}
"""The same for values that the points fix: conditions compare them, and must decide alike in every batch."""


def folded(operation: str, values: list[float]) -> float:
    """Return an operation on plain numbers; nan or infinite where it has no value."""
    return float(TORCH[operation](*(torch.tensor(value, dtype=torch.float64, device=HOST) for value in values)))
