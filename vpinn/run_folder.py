"""Writing and reading of a run folder, from which a run can be resumed and its solution loaded.

`begin` writes ``run.json``, ``problem.toml`` and copies of the files it names. `save` writes ``checkpoint.npz`` and
``history.csv`` during training, and also ``metrics.json`` at the end. `resumed` and `space_of` read the state back.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vpinn.domain import LagrangeSpace, replayed
from vpinn.errors import InputError, StorageError
from vpinn.optimization import COLUMNS, Training, load_arrays, save_arrays
from vpinn.placement import Placement, host
from vpinn.problem import Case, Settings
from vpinn.problem.build import build_problem
from vpinn.problem.named_files import named_files
from vpinn.problem.source import Source
from vpinn.problem.validation import validate
from vpinn.run_files import CHECKPOINT, HISTORY, METRICS, PROBLEM, RUN, check_copies, holds, read_json
from vpinn.solution import Solution
from vpinn.storage import write_atomic
from vpinn.trial import Enriched, Features, Near, Scales, Trial, elements_trial, make_trial, restored, stored, with_fields

FREE: dict[str, tuple[str, ...] | None] = {
    "solver": ("steps", "time_limit", "checkpoint", "tolerance"),
    **dict.fromkeys(("title", "reference", "output")),
}
"""Section → settings that may differ when a run is resumed, since training steps do not depend on them; None: all of them."""
Arrays = dict[str, np.ndarray[Any, Any]]
PACKAGES = ("torch", "numpy", "scipy", "fenics-ufl", "fenics-basix", "meshio")


def describe(problem: Case, settings: Settings, method: str, placement: Placement) -> dict[str, Any]:
    """Return the content of run.json: settings, hashes of files, method, seed, placement, versions and machine.

    Args:
        problem: The problem to solve.
        settings: Settings of the run; if their method differs from that in the problem file, it is recorded, too.
        method: Name of the method that the run uses.
        placement: Device, precision and threads.
    """
    data = problem.source.data if problem.source.written else None
    if data is not None and settings.solver.method != problem.settings.solver.method:
        data = {**data, "solver": {**data.get("solver", {}), "method": settings.solver.method}}
    return {
        "title": problem.title,
        "settings": settings.model_dump(mode="json"),
        "files": fingerprints(problem),
        "data": data,
        "method": method,
        "seed": settings.solver.seed,
        **placement.told,
        **environment(),
    }


def environment() -> dict[str, Any]:
    """Return the versions of packages and the machine, on which results depend."""
    return {
        "versions": {"vpinn": version("vpinn"), "python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def fingerprints(problem: Case) -> dict[str, str]:
    """Return the names of the files that the problem file refers to, with their SHA-256 hashes."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named_files(problem)}


def begin(folder: Path, problem: Case, record: dict[str, Any], anew: bool) -> None:
    """Write what a run folder contains from the start: run.json, and copies of the problem file and of the files it names.

    Args:
        folder: The run folder.
        problem: The problem to solve.
        record: Content of run.json, see ``describe``.
        anew: Whether to delete the checkpoint of an earlier run.

    Raises:
        InputError: A copy would replace a file that no run wrote, or lie outside the folder.
        StorageError: A file could not be written.
    """
    copies = {}
    if problem.source.written:
        text = {} if problem.source.text is None else {PROBLEM: problem.source.text.encode()}
        copies = text | {name: path.read_bytes() for name, path in named_files(problem)}
        check_copies(folder, copies)
    if anew:
        _discard(folder)
    write_atomic(folder / RUN, _json(record))  # first, so that the copies count as files of a run even if the process is killed
    for name, content in copies.items():
        if not holds(folder / name, content):
            write_atomic(folder / name, content)
    (folder / METRICS).unlink(missing_ok=True)


def _discard(folder: Path) -> None:
    """Remove the checkpoint of an earlier run.

    Raises:
        StorageError: It could not be removed.
    """
    try:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder / CHECKPOINT}: cannot be removed: {error.strerror}") from None


def resumed(folder: Path, record: dict[str, Any], device: torch.device) -> tuple[Training, Arrays, dict[str, Any]]:
    """Return the state of the run in a folder, to continue it with the same settings.

    Args:
        folder: The run folder.
        record: Description of the new run, see ``describe``, which has to agree with that in the folder.
        device: Device on which training continues.

    Returns:
        The training state, and arrays and JSON-compatible values of the checkpoint.

    Raises:
        InputError: A setting, a file, the number of threads or the device changed; the message names it.
        StorageError: The checkpoint is missing or damaged.
    """
    before = read_json(folder / RUN) or {}
    changed = _changes(before.get("settings", {}), record["settings"])
    reference = (record["settings"].get("reference") or {}).get("file")  # may change: training does not use it
    known = before.get("files", {})
    other = [name for name, digest in record["files"].items() if name != reference and known.get(name) != digest]
    changed = changed or "".join(f"file.{name}" for name in other[:1])
    if changed:
        raise InputError(f"{folder}: --resume needs the settings of the run, but {changed} changed; start anew with --overwrite")
    for name in ("threads", "device"):
        then, now = before.get(name, record[name]), record[name]
        if then != now:
            raise InputError(
                f"{folder}: --{name} was {then}, now it is {now}; resume with --{name} {then}, since results depend on it"
            )
    arrays, meta = load_arrays(folder / CHECKPOINT)
    with understood(folder):
        return Training.from_arrays(arrays, meta, device), arrays, meta


def save(
    folder: Path, training: Training, kept: Sequence[tuple[Arrays, dict[str, Any]]], solution: Solution | None = None
) -> None:
    """Write the checkpoint and the history of a run and, at its end, the solution with its metrics.

    Args:
        folder: The run folder.
        training: Training state of the run.
        kept: Further arrays and JSON-compatible entries of the checkpoint, of other names each.
        solution: Solution with its errors and estimates; None until the run has ended.

    Raises:
        StorageError: A file could not be written.
    """
    arrays, meta = training.arrays()
    for more, values in kept:
        arrays |= more
        meta |= values
    if solution is not None:
        arrays["solution"] = host(solution.theta)
        if solution.cell_estimate is not None:
            arrays["cell_estimate"] = solution.cell_estimate
        write_atomic(folder / METRICS, _json(dict(solution.metrics)))
    save_arrays(folder / CHECKPOINT, arrays, meta)
    write_atomic(folder / HISTORY, _history(training).encode())


def arrays_of_space(trial: Trial) -> tuple[Arrays, dict[str, Any]]:
    """Return what a checkpoint keeps of a trial space, for `space_of`."""
    arrays: Arrays = {}
    meta: dict[str, Any] = {"layers": list(trial.network.layers), "activation": trial.network.activation}
    meta |= {"rows": trial.rows, "corners": trial.corners}
    if trial.scales is not None:
        meta["scales"] = astuple(trial.scales)
    if trial.space is not None:
        arrays["elements"], meta["elements"] = np.stack([field.values for field in trial.elements]), trial.space.degree
    if trial.beside is not None:
        arrays["beside"] = np.stack([field.values for field in trial.beside.fields])
        meta["beside"] = [trial.beside.degree, trial.beside.why]
    space = trial.space if trial.beside is None else trial.beside.space
    if space is not None:
        arrays |= {f"bisected.{k}": marked for k, marked in enumerate(space.mesh.bisected)}
    if isinstance(trial.network, Near):
        meta["places"] = trial.network.places
    meta |= stored(trial)
    if isinstance(trial.network, Features):
        meta |= {"sources": trial.network.sources, "patches": trial.network.patches}
    return arrays, meta


@contextlib.contextmanager
def understood(folder: Path | None) -> Iterator[None]:
    """Turn errors in the interpretation of a readable checkpoint, which may belong to another problem, into a StorageError.

    Raises:
        StorageError: The code in the with block failed, since the checkpoint holds no state of this problem.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        told = f"it holds no state of a run of this problem ({type(error).__name__})"
        raise StorageError(f"{Path(folder or '') / CHECKPOINT}: {told}; start anew with --overwrite") from None


def space_of(problem: Case, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[Case, Trial]:
    """Return the problem and the trial space of a checkpoint; after adaptive refinement, the problem is on the refined mesh.

    Args:
        problem: Problem on its original domain.
        arrays: Arrays of the checkpoint.
        meta: JSON part of the checkpoint.
    """
    marks = [arrays[f"bisected.{k}"] for k in range(sum(name.startswith("bisected.") for name in arrays))]
    if marks or "elements" in meta:
        problem = replace(problem, domain=replayed(problem.domain.with_cells(), marks))
    if "elements" in meta:
        mesh = problem.domain.with_cells()
        return problem, elements_trial(problem, LagrangeSpace(mesh, meta["elements"]), arrays["elements"])
    if "terms" in meta:
        return problem, restored(problem, meta)
    trial = make_trial(problem, rows=meta["rows"], corners=meta.get("corners", False))
    if "beside" in meta:
        degree, why = meta["beside"]
        trial = with_fields(problem, trial, LagrangeSpace(problem.domain.with_cells(), degree), arrays["beside"], why)
    if meta.get("scales"):
        trial = trial.scaled(Scales(*map(tuple, meta["scales"])))
    return problem, replace(trial, network=network_of(trial, meta))


def network_of(trial: Trial, meta: Mapping[str, Any]) -> Enriched:
    """Return the network that the JSON part of a checkpoint describes, with the bounding box of a trial space's network."""
    kept = [int(width) for width in meta["layers"]]
    if "sources" in meta:
        return Features.restored(trial.network, kept, meta["activation"], meta["sources"], meta.get("patches", ()))
    base = trial.network
    layers = (base.dimension, *kept[1:])
    plain = Enriched(layers, meta["activation"], base.lower, base.upper, base.extra)
    return Near.restored(plain, meta["places"]) if meta.get("places") else plain


def read_problem_of(folder: Path) -> Case:
    """Return the problem of a run folder, with the settings of the run.

    Raises:
        InputError: The folder holds no run, or a run of a problem made in Python, which has no problem file.
    """
    record = read_json(folder / RUN)
    if record is None or record.get("data") is None:
        known = "" if record is None else "; its mesh or form was given in Python: vpinn.load(folder, problem) takes them again"
        raise InputError(f"{folder} holds no run of a problem file; give the folder that 'vpinn solve' wrote{known}")
    data = {**record["data"], "output": {k: v for k, v in record["data"].get("output", {}).items() if k != "directory"}}
    source = Source(folder / PROBLEM, None, data, base=folder)
    return build_problem(source, validate(source), folder)


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the first setting that differs and must not, as ``section.key``; "" if there is none."""
    for section in now:
        free = FREE.get(section, ())
        if free is None or before.get(section) == now[section]:
            continue
        if not isinstance(now[section], dict) or not isinstance(before.get(section), dict):
            return section
        for key in now[section]:
            if key not in free and before[section].get(key) != now[section][key]:
                return f"{section}.{key}"
    return ""


def _history(training: Training) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([f"{value:.17g}" for value in row] for row in training.history)
    return text.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
