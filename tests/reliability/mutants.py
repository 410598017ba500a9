"""Feed vpinn with inputs that differ from valid ones by a few edits: each must lead to a result or to errors of one line each.

Time and memory are bounded, too.
``python tests/reliability/mutants.py problems --count 2000 [--seed 1] [--only l_shape]`` checks mutants of the problem files,
``python tests/reliability/mutants.py meshes --count 2000 [--only vtu]`` reads mutants of meshes in every format that is allowed.
``--start 2000`` continues with later ones. They run one after the other in forks of one process that has the libraries loaded,
whose processor time is added to that of each. Inputs that fail are printed and written to ``--keep FOLDER``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vpinn.process import peak_memory_mb

PROBLEMS = Path(__file__).parents[2] / "problems"
SECONDS, BYTES = 5.0, 1_000_000_000
"""Processor time and resident memory that no input may take."""
TOGETHER = 100
"""Mutants that one fork tries, at most."""
TOKENS = (
    '"', "'", "[", "]", "{", "}", "=", ".", ",", "#", "\n", " ", "0", "-1", "1e999", "nan", "true", "u", "x", "dx", "[[", "]]",
    '"""', "\\", "\x07", "é", "1e-300", "1e300", "999999999", "-0.0", "inf",
)  # fmt: skip
EXPRESSIONS = (
    "x", "y", "u", "v", "n", "h", "0", "-1", "1e300", "1e-300", "1000*x", "x - 0.5", "ln(x)", "sqrt(x - 0.5)", "exp(1000*x)",
    "1/x", "x**y", "asin(3*x)", "tan(1e9*x)", "conditional(lt(x, 0.5), 1, 0)", "abs(x)", "sign(x)", "u**2", "grad(u)", "x**64",
    "u/u", "max_value(x, y)", "erf(x)", "cosh(800*x)", "ln(-x)", "(0*x)**(-1)", "(-1)**x", "x/0.0", "bessel_J(0, x)",
)  # fmt: skip
NUMBERS = (b"0", b"-1", b"1", b"7", b"999999999", b"1e308", b"nan", b"-0", b"18446744073709551615")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])")
PLACED = re.compile(r".+:\d+: .|.+\.toml: .+ is missing; it is required")
"""How each line begins where a problem file has several mistakes: with the place of one, or the file if a section is missing."""
NAME = re.compile(r"(?<![\w.])(?:x|y|z|u|v|n|h|r)(?![\w.])")


@dataclass(frozen=True)
class Outcome:
    """How a fork ended.

    Attributes:
        code: exit code, negative after a signal.
        said: its output on stderr.
        seconds: processor time in seconds.
        memory: peak resident memory in bytes.
    """

    code: int
    said: str
    seconds: float
    memory: int

    @property
    def fault(self) -> str:
        """What is wrong with the outcome; "" if nothing is."""
        if self.seconds > SECONDS or self.code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "slow"
        if self.memory > BYTES:
            return "large"
        if "bug:" in self.said or "Traceback" in self.said:
            return "bug"
        if self.code not in (0, 2):
            return f"code {self.code}"
        lines = self.said.splitlines()
        each = self.said.endswith("\n") and (len(lines) == 1 or all(PLACED.match(line) for line in lines))
        return "" if self.code == 0 or (lines and each) else "not one line"


def tried(works: Sequence[Callable[[], int]], cap: float = 4 * SECONDS) -> Iterator[Outcome]:
    """Run functions one after the other in a fork, each for at most ``cap`` seconds of processor time.

    If one of them ends the fork, the others run in a new one.
    """
    done = 0
    while done < len(works):
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ours)
            with contextlib.suppress(BaseException):
                _one_by_one(works[done:], cap, theirs)
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as told:
            for line in told:
                if not line.endswith("\n"):
                    break
                yield Outcome(**json.loads(line))
                done += 1
        _, status, used = os.wait4(pid, 0)
        if done < len(works):
            yield Outcome(os.waitstatus_to_exitcode(status) or 70, "", used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
            done += 1


def _one_by_one(works: Sequence[Callable[[], int]], cap: float, told: int) -> None:
    """Run functions in this process, and write their outcomes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = os.fdopen(1, "w")
    for work in works:
        with tempfile.TemporaryFile() as file, contextlib.suppress(OSError):
            os.dup2(file.fileno(), 2)
            sys.stderr = os.fdopen(os.dup(2), "w", errors="backslashreplace")
            Path("/proc/self/clear_refs").write_text("5")  # from here on the largest memory counts anew
            began, code = _spent(), 70
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + cap) + 1, resource.RLIM_INFINITY))
            try:
                code = work()
            except BaseException as error:
                sys.stderr.write(f"Traceback: {type(error).__name__}: {error}\n")
            sys.stderr.close()
            file.seek(0)
            said = file.read(20_000).decode(errors="replace")
            memory = max(int(peak_memory_mb() * 1e6), *_children, 0)
            _children.clear()
            found = {"code": code, "said": said, "seconds": _spent() - began, "memory": memory}
            os.write(told, (json.dumps(found) + "\n").encode())


_children = [0]  # bytes that processes of the work had


def _spent() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def problem_mutant(generator: random.Random, text: str) -> str:
    """Return a problem file after one to three edits: of lines, characters, numbers, names and expressions."""
    lines = text.split("\n")
    for _ in range(generator.randint(1, 3)):
        row, other = generator.randrange(len(lines)), generator.randrange(len(lines))
        column = generator.randint(0, len(lines[row]))
        match generator.randrange(8):
            case 0:
                lines[row], lines[other] = lines[other], lines[row]
            case 1:
                lines[row] = lines[other]
            case 2:
                lines[row] = lines[row][:column] + generator.choice(TOKENS) + lines[row][column:]
            case 3:
                lines[row] = lines[row][:column] + lines[row][column + generator.randint(1, 4) :]
            case 4:
                lines[row] = lines[row].replace("# ", "", 1)
            case kind:
                pattern = NUMBER if kind == 5 else NAME
                places = [(k, found) for k, line in enumerate(lines) for found in pattern.finditer(line.partition("#")[0])]
                if places:
                    k, found = generator.choice(places)
                    new = generator.choice(EXPRESSIONS if kind > 5 else (*TOKENS, *map(str, range(9))))
                    new = f"({new})" if kind > 5 else new
                    lines[k] = lines[k][: found.start()] + new + lines[k][found.end() :]
    return "\n".join(lines)


def bytes_mutant(generator: random.Random, content: bytes) -> bytes:
    """Return a file after a few edits: bytes and numbers changed, parts lost, repeated or swapped."""
    data = bytearray(content)
    for _ in range(generator.randint(1, 2)):
        size = len(data)
        at, other = generator.randrange(size + 1), generator.randrange(size + 1)
        length = min(generator.choice((1, 1, 2, 4, 8, 40)), size)
        match generator.randrange(8):
            case 0:
                data[at : at + length] = generator.randbytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[other : other + length]
            case 3 if generator.random() < 0.2:
                del data[at:]
            case 4 | 5 | 6:
                found = generator.choice(list(re.finditer(rb"-?\d+(?:\.\d+)?", data[:20_000])) or [None])
                if found is not None:
                    data[found.start() : found.end()] = generator.choice(NUMBERS)
            case _:
                if size:
                    data[at % size] ^= 1 << generator.randrange(8)
    return bytes(data)


def problems(only: str) -> dict[str, bytes]:
    """Return the problem files, by name."""
    return {path.name: path.read_bytes() for path in sorted(PROBLEMS.glob("*.toml")) if only in path.stem}


def check_problem(path: Path) -> int:
    """Run ``vpinn check``."""
    from vpinn.cli import main

    return main(["check", str(path)])


def check_text(path: Path) -> int:
    """Read a file that differs only in comments and spaces from one that was checked before."""
    from vpinn.problem.source import read_source
    from vpinn.problem.validation import validate

    validate(read_source(path))
    return 0


def stated(content: bytes) -> str:
    """Return the content of a problem file, or the text itself if it is not valid TOML."""
    try:
        return repr(tomllib.loads(content.decode()))
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def check_mesh(path: Path) -> int:
    """Read a mesh as ``vpinn check`` does, in this process, with the child's code."""
    from vpinn.domain import mesh_file
    from vpinn.errors import InputError

    try:
        mesh_file.read_mesh(path)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def meshes(only: str, folder: Path) -> dict[str, bytes]:
    """Return small valid meshes, by suffix and kind."""
    import types

    import meshio
    import numpy as np

    from vpinn.domain import box, rectangle
    from vpinn.domain.mesh_file import FORMATS
    from vpinn.output.cells import cell_format, vtk_cells

    sys.modules.setdefault("h5py", types.ModuleType("h5py"))  # which meshio's writer of XDMF asks for and does not use
    found = {}
    for cell in ("triangle", "quadrilateral", "tetrahedron", "hexahedron"):
        mesh = (rectangle if cell[0] in "tq" and cell != "tetrahedron" else box)(cells=2, cell=cell)
        nodes = np.pad(mesh.nodes, ((0, 0), (0, 3 - mesh.nodes.shape[1])))
        plain = meshio.Mesh(nodes, [(cell_format(mesh).meshio, np.ascontiguousarray(vtk_cells(mesh)))])
        for suffix, name in FORMATS.items():
            options = {"data_format": "XML"} if name == "xdmf" else {}
            kinds = {"gmsh22": {"binary": False}, "gmsh": {"binary": True}} if name == "gmsh" else {name: options}
            if name in ("vtk", "vtu"):
                kinds = {name: {"binary": True}, f"{name} ascii": {"binary": False}}
            for kind, how in kinds.items():
                path = folder / f"sound{suffix}"
                if only in f"{suffix} {kind} {cell}" and not (name == "su2" and mesh.nodes.shape[1] == 2):
                    meshio.write(path, plain, file_format=kind.partition(" ")[0], **how)
                    found[f"{kind} {cell}{suffix}"] = path.read_bytes()
    return found


def run(kind: str, numbers: range, seed: int, only: str, keep: Path | None = None) -> Iterator[tuple[str, bytes, Outcome]]:
    """Yield name, content and outcome of mutants."""
    import io
    from contextlib import redirect_stdout

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PROBLEMS / "meshes", folder / "meshes")
        with redirect_stdout(io.StringIO()):
            sound = problems(only) if kind == "problems" else meshes(only, folder)
        names = sorted(sound)
        for first in range(numbers.start, numbers.stop, TOGETHER):
            made = []
            for number in range(first, min(first + TOGETHER, numbers.stop)):
                chosen, generator = names[number % len(names)], random.Random(f"{seed} {number}")
                if kind == "problems":
                    content = problem_mutant(generator, sound[chosen].decode()).encode("utf-8", "surrogatepass")
                else:
                    content = bytes_mutant(generator, sound[chosen])
                made.append((number, chosen, content))
            works = [partial(_written, kind, folder / f"mutant{Path(chosen).suffix}", content) for _, chosen, content in made]
            for (number, chosen, content), outcome in zip(made, tried(works), strict=True):
                outcome = dataclasses.replace(outcome, seconds=outcome.seconds + _loading[kind])
                if outcome.code == 0:
                    _accepted.add(stated(content) if kind == "problems" else repr(content))
                if outcome.fault and keep is not None:
                    keep.mkdir(exist_ok=True)
                    (keep / f"{seed}-{number}-{chosen.replace(' ', '_')}").write_bytes(content)
                yield chosen, content, outcome


def _written(kind: str, path: Path, content: bytes) -> int:
    path.write_bytes(content)
    if kind == "meshes":
        return check_mesh(path)
    return check_text(path) if stated(content) in _accepted else check_problem(path)


_accepted = set[str]()  # what was stated by mutants that are sound still


_loading = dict.fromkeys(("problems", "meshes"), 0.0)  # processor time that each would take by itself to load the libraries


def preload(kind: str) -> None:
    """Load the libraries that every fork needs, and let meshes be read in a fork of this process."""
    import importlib

    from vpinn.domain import mesh_file

    began = time.process_time()
    names = ("vpinn.cli", "vpinn.solving", "vpinn.output", "scipy.linalg", "scipy.stats") if kind == "problems" else ()
    for name in (*names, "meshio"):
        importlib.import_module(name)
    _loading[kind] = time.process_time() - began
    spec = importlib.util.spec_from_file_location("child", mesh_file._CHILD)
    assert spec is not None
    assert spec.loader is not None
    child = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child)
    child.limit = _limit

    def read(arguments: list[str]) -> int:
        pid = os.fork()
        if not pid:
            code = 70
            with contextlib.suppress(SystemExit):
                code = child.main(arguments) or 0
            os._exit(code)
        _, status, used = os.wait4(pid, 0)
        _children.append(used.ru_maxrss * 1024)
        return os.waitstatus_to_exitcode(status)

    mesh_file._run = read


LIBRARIES = 500_000_000
"""Bytes of address space that a reader's own libraries take."""


def _limit(memory: int, seconds: int) -> None:
    """Limit the memory of a reader beyond that of the libraries, which is larger in this process."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    most = held + memory - LIBRARIES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    """Run the command line and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["problems", "meshes"])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0, help="number of the first, 0 by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    preload(options.kind)
    faults, codes, longest, largest, spent = Counter[str](), Counter[int](), 0.0, 0, 0.0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    numbers = range(options.start, options.start + options.count)

    def tell() -> None:
        imports = _loading[options.kind]
        most = f"at most {longest:.2f} s, {imports:.2f} of them imports, {largest / 1e6:.0f} MB; {spent:.0f} s in all"
        ended = f"codes {dict(codes)} ({len(_accepted)} different accepted)"
        print(f"{codes.total()} mutants: {ended}, faults {dict(faults)}, {most}", flush=True)

    with contextlib.suppress(KeyboardInterrupt):  # what was found until then is told
        for chosen, _, outcome in run(options.kind, numbers, options.seed, options.only, options.keep):
            codes[outcome.code] += 1
            longest, largest = max(longest, outcome.seconds), max(largest, outcome.memory)
            spent += outcome.seconds - _loading[options.kind]
            if outcome.fault:
                faults[outcome.fault] += 1
                told = f"{outcome.seconds:.1f} s, {outcome.memory / 1e6:.0f} MB: {outcome.said[:300]}"
                print(f"{outcome.fault}: {chosen}: {told}", flush=True)
            if codes.total() % 1000 == 0 and codes.total() < options.count:
                tell()
    tell()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
