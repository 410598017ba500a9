"""Keys that a user may expect but that are not available in this version; they are refused with a hint what to use instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vpinn.errors import InputError
from vpinn.problem.source import Source

# section or section.key → what to use instead
_KEYS = {
    "domain.time_cells": "a march chooses its steps itself; leave it out, or make time a coordinate of a rectangle or box",
    # python tests/benchmarks/batch_normalisation.py
    "network.normalisation": "a batch's own statistics (64 points) biased the gradient by 0.7 of its size after training and "
    "left 1.6 times the error of the same network without; leave it out: coordinates and first weights are scaled as they are",
}


def refuse_unavailable(source: Source) -> None:
    """Refuse keys that are not available in this version.

    Raises:
        InputError: there is such a key; the message names the first one, its place and what to use instead.
    """
    for name in _entries(source.data):
        if name in _KEYS:
            raise InputError(f"{name} is not available in this version; {_KEYS[name]}", source.place(*name.split(".")))


def _entries(data: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all sections, ``section``, and of the keys in them, ``section.key``."""
    for section, content in data.items():
        yield section
        if isinstance(content, dict):
            for key in content:
                yield f"{section}.{key}"
