"""The operations of expression graphs other than sums and products, as functions on tensors and plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import torch
from torch import Tensor

from vpinn.placement import HOST

Value: TypeAlias = Tensor | float
"""One number per point [n], or one number for all points."""
CONDITIONS: Final = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "and", "or", "not")
"""Operations whose result is true or false."""


def _number(value: Value, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(like, value)


def _both(operation: Callable[..., Tensor]) -> Callable[[Value, Value], Tensor]:
    """Return a binary operation that also takes a plain number as one of its operands."""

    def apply(a: Value, b: Value) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        return operation(_number(a, like), _number(b, like))  # type: ignore[arg-type]

    return apply


def _where(condition: Tensor, a: Value, b: Value, like: Tensor | None = None) -> Tensor:
    """Return a where the condition holds, else b.

    Args:
        condition: booleans, or 0 and 1 if the condition depends on the points alone [n].
        a: values where the condition holds.
        b: values elsewhere.
        like: a tensor of the precision of the result, needed if a and b are plain numbers; None for float64.
    """
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
    """Return an operation whose result for one value is the same, bit by bit, whatever other values are computed with it.

    Torch evaluates contiguous values with vector instructions and the remainder with another algorithm, which may round
    otherwise. Values with a stride in memory are all evaluated one by one, with the same algorithm.
    """

    def apply(*values: Value) -> Tensor:
        return operation(*(v.repeat_interleave(2)[::2] if isinstance(v, Tensor) and v.dim() else v for v in values))

    return apply


FIXED: Final[Mapping[str, Callable[..., Tensor]]] = TORCH | {
    name: _one_by_one(TORCH[name]) for name in ("power", "sinh", "cosh", "atan2")
}
"""Operations for values that depend on the points alone; conditions on them must have the same result in every batch."""


def folded(operation: str, values: list[float]) -> float:
    """Return the result of an operation on plain numbers; nan or infinite if it has no value."""
    return float(TORCH[operation](*(torch.tensor(value, dtype=torch.float64, device=HOST) for value in values)))
