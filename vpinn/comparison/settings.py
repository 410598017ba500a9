"""Settings of the variants of a comparison, from the options ``--vary`` and ``--variant``. Start from `combinations`.

It also knows which settings have no effect beside others, so that variants that differ only in those count as equal (`settled`).
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from vpinn.errors import InputError
from vpinn.problem.wording import printable

Combination = dict[str, str]
"""Settings of a variant: section.key → value as text, as on the command line."""
MOST = 64
"""Largest number of variants in a comparison."""
TAKES_BATCHES = ("adam", "sgd", "gauss-newton", "spring", "langevin", "evolution", "least-squares")
"""Methods that can use mini-batches; all others use all points in every step."""
ON_ALL_POINTS = {"spring": "gauss-newton"}
"""Method that needs mini-batches → its counterpart on all points."""
_STRATA = ("batch.allocation", "batch.strata", "batch.strata_count")
_SAMPLING = ("batch.sampler", *_STRATA, "batch.replacement", "batch.per_cell", "batch.directions", "batch.estimator")
BATCH = (*_SAMPLING, "batch.growth", "batch.threshold", "batch.largest", "batch.finish", "solver.scaling")
"""Settings that have an effect with mini-batches only."""
_RATE = ("solver.learning_rate", "solver.warmup", "solver.schedule", "solver.decay", "solver.clip", "solver.scaling")
_SETTLES: Final[tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]] = (
    ("solver.method", ("sgd",), ("solver.momentum",)),
    ("solver.method", ("langevin",), ("solver.temperature", "solver.precondition")),
    ("solver.method", ("evolution",), ("solver.population", "solver.spread")),
    ("solver.method", ("adam", "sgd", "spring", "langevin"), _RATE),
    ("solver.method", ("least-squares",), ("solver.features",)),
    ("batch.sampler", ("stratified",), ("batch.allocation", "batch.strata")),
    ("batch.sampler", ("stratified", "importance"), ("batch.strata_count",)),
    ("batch.sampler", ("cells",), ("batch.per_cell",)),
    ("batch.sampler", ("uniform",), ("batch.replacement",)),
)
"""Entries (key, values, other keys): the other keys have an effect only if the key has one of the values."""


def combinations(vary: Sequence[str], single: Sequence[str]) -> list[Combination]:
    """Return the settings of every variant: all combinations of the values in ``vary``, then those in ``single``.

    Args:
        vary: Values of ``--vary``, ``section.key=value,value,…`` each; commas inside brackets and quotes belong to a value.
        single: Values of ``--variant``, ``section.key=value section.key=value …`` each.

    Raises:
        InputError: A text has another form, a key occurs in two ``--vary``, or there are more than 64 variants.
    """
    axes: dict[str, list[str]] = {}
    for item in vary:
        key, values = _pair(item, "--vary", "section.key=value,value")
        if key in axes:
            raise InputError(f"{key} is given twice; list its values in one --vary, separated by commas", "--vary")
        axes[key] = list(_split(values))
        if not all(axes[key]):
            raise InputError(f"expected section.key=value,value, got {printable(item)!r}", "--vary")
    found = [dict(zip(axes, values, strict=True)) for values in _product(axes)] if axes else []
    for item in single:
        try:
            words = shlex.split(item)
        except ValueError as error:
            raise InputError(f"{str(error).lower()} in {printable(item)!r}; close the quotation", "--variant") from None
        found.append(dict(_pair(word, "--variant", "'section.key=value section.key=value'") for word in words or [""]))
    if len(found) > MOST:
        raise InputError(f"a comparison has at most {MOST} variants, got {len(found)} or more; vary less at a time", "--vary")
    return found


def settled(combination: Combination) -> Combination:
    """Return a combination without settings that have no effect, so that variants that solve alike have equal settings.

    A method that needs all points gets ``batch.size = "full"``, with which no other setting of [batch] has an effect. A method
    that needs mini-batches is replaced by its counterpart if ``batch.size`` is "full".
    """
    chosen = dict(combination)
    method = chosen.get("solver.method", TAKES_BATCHES[0])
    if method not in TAKES_BATCHES:
        chosen["batch.size"] = "full"
    if method in ON_ALL_POINTS and chosen.get("batch.size") == "full":
        chosen["solver.method"] = ON_ALL_POINTS[method]
    return {key: value for key, value in chosen.items() if key not in meaningless(chosen)}


def meaningless(combination: Mapping[str, str]) -> set[str]:
    """Return the keys that have no effect beside the settings of a combination, be they in it or in the problem file."""
    keys = {key for by, values, owned in _SETTLES if combination.get(by, values[0]) not in values for key in owned}
    return keys | set(BATCH) if combination.get("batch.size") == "full" else keys


def _product(axes: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield combinations of values; stop when there are surely too many, so that a huge product takes no time."""
    return itertools.islice(itertools.product(*axes.values()), MOST * 16)


def _pair(item: str, option: str, form: str) -> tuple[str, str]:
    """Return key and value of a text ``key=value``.

    Raises:
        InputError: The text has another form; the message shows the ``form`` expected.
    """
    key, equals, value = item.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"expected {form}, got {printable(item)!r}", option)
    return key.strip(), value.strip()


def _split(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas; commas inside brackets and quotes do not separate."""
    depth, quote, start = 0, "", 0
    for k, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "," and depth == 0:
            yield text[start:k].strip()
            start = k + 1
        else:
            depth += (character in "[{(") - (character in "]})")
    yield text[start:].strip()
