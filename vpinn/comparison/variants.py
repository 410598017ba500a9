"""The variants of a comparison: the problem with the settings of each, checked before anything runs. See `make_variants`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpinn.comparison.settings import BATCH, ON_ALL_POINTS, TAKES_BATCHES, Combination, meaningless, settled
from vpinn.errors import InputError
from vpinn.placement import Placement
from vpinn.problem import Case, Problem
from vpinn.problem.build import build_problem
from vpinn.problem.source import Source, read_source
from vpinn.problem.validation import validate
from vpinn.solving import Setup, prepare

SHARE = "1/16"
"""Default ``batch.size``, as a share of all quadrature points of the domain."""
_FRACTION = re.compile(r"1/(\d{1,9})")


@dataclass(frozen=True)
class Variant:
    """The problem with one combination of settings.

    Attributes:
        label: Name made of the settings in which it differs from the other variants.
        kind: The same name without the batch size.
        settings: Settings that differ from the problem file: section.key → value.
        path: Path of the problem file.
        data: Content of the problem file, with these settings.
        method: Name of the method.
        points: Number of quadrature points of all integrals.
        batch: Quadrature points per step; None for all points.
        parameters: Number of parameters of the network.
    """

    label: str
    kind: str
    settings: Combination
    path: Path
    data: dict[str, Any]
    method: str
    points: int
    batch: int | None
    parameters: int

    @property
    def first_seed(self) -> int:
        """Seed in the problem file, 0 by default."""
        return int(self.data.get("solver", {}).get("seed", 0))

    def problem(self, seed: int) -> Case:
        """Return the problem with a seed."""
        return _build(self.path, {**self.data, "solver": {**self.data.get("solver", {}), "seed": seed}})


def make_variants(path: Path, changes: Sequence[str], asked: Sequence[Combination], placement: Placement) -> list[Variant]:
    """Return the variants; the first one uses all points in every step. Variants with equal settings are returned once.

    Args:
        path: Problem file.
        changes: Settings of all variants, ``section.key=value`` each.
        asked: Settings of each variant. If empty, all points are compared with mini-batches: those of the problem file, or 1/16
            of the points.
        placement: Device, precision and threads of every run.

    Raises:
        InputError: A variant cannot be solved as its settings say, or the problem offers no error to compare.
    """
    source = read_source(path, changes)
    _require_error(_build(path, source.data, source))
    chosen = [_completed(combination, source) for combination in asked or _default(source)]
    chosen = [settled(combination) for combination in _with_full(chosen)]
    found: dict[str, Variant] = {}
    for combination in chosen:
        variant = _make(path, changes, combination, placement)
        found.setdefault(json.dumps(variant.data, sort_keys=True), variant)
    variants = list(found.values())
    names = _names([variant.settings for variant in variants])
    return [dataclasses.replace(variant, label=label, kind=kind) for variant, (label, kind) in zip(variants, names, strict=True)]


def _build(path: Path, data: dict[str, Any], source: Source | None = None) -> Case:
    stated = Source(path, None, data) if source is None else source
    return build_problem(stated, validate(stated), path.parent)


def _require_error(problem: Problem) -> None:
    """Refuse a problem with neither a known solution nor a mesh, on which the error could be estimated."""
    if not (problem.exact or problem.reference is not None or problem.domain.n_cells):
        raise InputError("there is no error to compare by; give [reference] exact, or a domain with a mesh", problem.where())


def _default(source: Source) -> list[Combination]:
    size = _size(source)
    batches = {"batch.size": SHARE, "batch.sampler": "stratified"} if size == "full" else {"batch.size": size}
    return [{"batch.size": "full"}, batches]


def _size(source: Source) -> str:
    return str(source.data.get("batch", {}).get("size", "full"))


def _completed(combination: Combination, source: Source) -> Combination:
    """Return a combination with a method and a batch size that make it comparable with mini-batches.

    If the file's method cannot use mini-batches and the user chose none, the method is adam. If settings of [batch] are varied
    but there is no batch size, it is `SHARE`.
    """
    chosen = dict(combination)
    method = source.data.get("solver", {}).get("method", "auto")
    if "solver.method" not in chosen and ("solver", "method") not in source.overrides and method not in TAKES_BATCHES:
        chosen["solver.method"] = TAKES_BATCHES[0]
    if method in ON_ALL_POINTS:
        chosen.setdefault("solver.method", method)
    size = _size(source)
    if size != "full":
        chosen.setdefault("batch.size", size)
    elif chosen.get("solver.method") in ON_ALL_POINTS or any(key.startswith("batch.") for key in chosen):
        chosen.setdefault("batch.size", SHARE)
    return chosen


def _with_full(chosen: list[Combination]) -> list[Combination]:
    """Return the combinations with one that uses all points first; such a one is added if there is none."""
    full = [combination for combination in chosen if combination.get("batch.size", "full") == "full"]
    if len(full) == len(chosen):
        return chosen
    if not full:
        full = [{key: value for key, value in chosen[0].items() if not key.startswith("batch.")} | {"batch.size": "full"}]
    return [full[0], *(combination for combination in chosen if combination is not full[0])]


def _make(path: Path, changes: Sequence[str], settings: Combination, placement: Placement) -> Variant:
    """Return the variant with some settings; it is prepared as a run would be, so that mistakes are found now.

    Raises:
        InputError: It cannot be solved as its settings say; the message names the variant.
    """
    name = " ".join(f"{key}={value}" for key, value in settings.items()) or "of the file"
    try:
        if share := _FRACTION.fullmatch(settings.get("batch.size", "")):
            counted = {**settings, "batch.size": "full", "solver.method": TAKES_BATCHES[0]}
            whole = _prepared(path, changes, counted, placement)[0]
            settings = {**settings, "batch.size": str(max(1, whole.objective.measures[0].points.size // max(1, int(share[1]))))}
        setup, data = _prepared(path, changes, settings, placement)
    except InputError as error:
        where = "" if not error.where or error.where.startswith("--set") else f"{error.where}: "
        raise InputError(f"{where}{error.message}", f"variant {name}") from None
    plan, size = setup.plan, setup.objective.size
    return Variant("", "", settings, path, data, plan.method.name, size, plan.batch_size, setup.trial.network.size)


def _prepared(path: Path, changes: Sequence[str], settings: Combination, placement: Placement) -> tuple[Setup, dict[str, Any]]:
    """Return the prepared problem with some settings, and the content of its problem file without settings of no effect."""
    source = read_source(path, [*changes, *(f"{key}={value}" for key, value in settings.items())])
    for key in meaningless(settings):
        section, _, name = key.partition(".")
        source.data.get(section, {}).pop(name, None)
    return prepare(_build(path, source.data, source), placement), source.data


def _names(settings: Sequence[Combination]) -> list[tuple[str, str]]:
    """Return for every variant its name, made of the settings in which variants differ, with and without the batch size."""
    keys = sorted({key for s in settings for key in s}, key=lambda key: (key != "solver.method", key != "batch.size"))
    drawn = [s for s in settings if s.get("batch.size") != "full"]
    where = {key: drawn if key in BATCH else settings for key in keys}
    telling = [key for key in keys if len({s.get(key) for s in where[key]}) > 1]

    def name(s: Combination, without: str = "") -> str:
        return " · ".join(_worded(key, s[key]) for key in telling if key in s and key != without)

    return [(name(s) or "as in the file", name(s, "batch.size")) for s in settings]


def _worded(key: str, value: str) -> str:
    """Return a setting in words, such as "adam", "64 points" or "learning rate 0.01"."""
    if key == "batch.size":
        return f"{int(value):,} points" if value.isdecimal() else value
    name = key.partition(".")[2]
    return value if name in ("method", "sampler", "allocation", "estimator") else f"{name.replace('_', ' ')} {value}"
