"""Feed vpinn with run folders whose checkpoint has a valid hash but wrong content: each must lead to a result or to one line.

``python tests/reliability/checkpoints.py --count 100 [--seed 1] [--only march]`` solves one problem of every method, changes one
or two entries or arrays of its checkpoint, and evaluates, reports, resumes or starts from the run.
"""

from __future__ import annotations

import argparse
import copy
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kills
import mutants
import numpy as np

NO_RUN = ("compare", "noise", "sweep")
VALUES: tuple[Any, ...] = (
    None, "x", -1, [], {"a": 1}, [1e30], 10**30, 0, 1.5, True, [[1, 2], [3]], "tanh", 1e300, float("nan"), 10**7,
)  # fmt: skip
COMMANDS = ("evaluate", "evaluate", "report", "resume", "from")
MOST = 60.0
"""Processor time in seconds that a run which goes on may take."""


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all entries of a JSON-compatible object, at most three of a list."""
    keys = list(node) if isinstance(node, dict) else list(range(min(len(node), 3))) if isinstance(node, list) else []
    for key in keys:
        yield (*at, key)
        yield from places(node[key], (*at, key))


def changed_meta(generator: random.Random, meta: dict[str, Any]) -> dict[str, Any]:
    """Return the description with an entry replaced or removed."""
    meta = copy.deepcopy(meta)
    *outer, last = generator.choice([place for place in places(meta) if place != ("version",)])
    node: Any = meta
    for key in outer:
        node = node[key]
    if generator.random() < 0.25:
        del node[last]
    else:
        node[last] = generator.choice(VALUES)
    return meta


def changed_arrays(generator: random.Random, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays with one removed, or of another shape, type or content."""
    name = generator.choice(sorted(arrays))
    array = arrays[name]
    rest = {other: value for other, value in arrays.items() if other != name}
    makers: tuple[Callable[[], Any], ...] = (
        lambda: array[:1] if array.ndim else array,
        array.ravel,
        lambda: np.array(["x"]),
        lambda: np.full(array.shape, -1),
        lambda: array.astype(float) * np.nan if array.dtype.kind in "fiu" else array,
        lambda: array.astype(float) * 1e200 if array.dtype.kind in "fiu" else array,
        lambda: np.concatenate([array, array]) if array.ndim else array,
    )
    return rest if generator.random() < 0.125 else {**rest, name: generator.choice(makers)()}


def work(root: Path, kind: str, command: str, arrays: dict[str, Any], meta: dict[str, Any]) -> int:
    """Run a command on a copy of a run with another checkpoint; a solution that fails its checks or diverges is a result."""
    from vpinn.cli import main
    from vpinn.optimization import save_arrays

    run, path = root / "copy", root / kind / "problem.toml"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(root / kind / "run", run)
    save_arrays(run / "checkpoint.npz", arrays, meta)
    text = path.read_text()
    if command == "evaluate":
        dimension = 6 if "dimension = 6" in text else 1 if '"interval"' in text else 2
        at = ",".join(["0.3"] * dimension + ["0.05"] * ("time = " in text))
        words = ["evaluate", str(run), "--at", at, *(["--param", "k=1.5"] if "[parameters]" in text else [])]
    elif command == "report":
        words = ["report", str(run), "-q"]
    elif command == "resume":
        words = ["solve", str(path), "-o", str(run), "--resume", "-q", "--threads", "1"]
    else:
        other = str(root / "adam" / "problem.toml")
        words = ["solve", other, "-o", str(root / "new"), "--overwrite", "-q", "--threads", "1", "--from", str(run)]
    code = main(words)
    return {3: 0, 4: 2}.get(code, code)


def main() -> int:
    """Run the command line and print the results."""
    import vpinn.output
    import vpinn.output.folder
    import vpinn.solving
    from vpinn.optimization import load_arrays

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="changed checkpoints of every method")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    vpinn.output.draw = vpinn.output.folder.draw = lambda *_: []  # type: ignore[attr-defined]
    mutants.SECONDS, mutants.BYTES = MOST, 3_000_000_000
    kinds = [kind for kind in kills.METHODS if kind not in NO_RUN and options.only in kind]
    faults, codes = Counter[str](), Counter[int]()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for kind in dict.fromkeys((*kinds, "adam")):
            kills.finish(kills.write(root / kind, kind), kind, figures=False)
        for kind in kinds:
            arrays, meta = load_arrays(root / kind / "run" / "checkpoint.npz")
            works, told = [], []
            for number in range(options.count):
                generator = random.Random(f"{options.seed} {kind} {number}")
                own, description = arrays, meta
                for _ in range(generator.choice((1, 1, 2))):
                    if generator.random() < 0.55:
                        description = changed_meta(generator, description)
                    else:
                        own = changed_arrays(generator, own)
                command = generator.choice(COMMANDS)
                works.append(partial(work, root, kind, command, own, description))
                told.append(f"{kind}, number {number}, {command}")
            for label, outcome in zip(told, mutants.tried(works, MOST), strict=True):
                codes[outcome.code] += 1
                if outcome.fault:
                    faults[outcome.fault] += 1
                    print(f"{outcome.fault}: {label}: {outcome.seconds:.1f} s: {outcome.said[:300]}", flush=True)
    print(f"{codes.total()} checkpoints of {len(kinds)} methods: codes {dict(codes)}, faults {dict(faults)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
