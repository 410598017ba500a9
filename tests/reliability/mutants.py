"""Inputs a few edits away from sound ones: each ends with a result or one line, in bounded time and memory.

``python tests/reliability/mutants.py problems --count 2000 [--seed 1] [--only l_shape]`` checks mutants of the problem files,
``python tests/reliability/mutants.py meshes --count 2000 [--only vtu]`` reads mutants of meshes in every format that is allowed.
Each runs in a fork of one process that has the libraries loaded; what falls short is printed and kept in ``--keep FOLDER``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROBLEMS = Path(__file__).parents[2] / "problems"
SECONDS, BYTES = 5.0, 1_000_000_000
"""Processor time and resident memory that no input may take."""
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
NAME = re.compile(r"(?<![\w.])(?:x|y|z|u|v|n|h|r)(?![\w.])")


@dataclass(frozen=True)
class Outcome:
    """How a fork ended.

    Attributes:
        code: exit code, below zero after a signal.
        said: what it printed on stderr.
        seconds: of processor time.
        memory: bytes, resident at most.
    """

    code: int
    said: str
    seconds: float
    memory: int

    @property
    def fault(self) -> str:
        """What is wrong with it, "" for nothing."""
        if self.seconds > SECONDS or self.code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "slow"
        if self.memory > BYTES:
            return "large"
        if "bug:" in self.said or "Traceback" in self.said:
            return "bug"
        if self.code not in (0, 2):
            return f"code {self.code}"
        return "" if self.code == 0 or self.said.count("\n") == 1 else "not one line"


def forked(work: Callable[[], int], cap: float = 4 * SECONDS) -> Outcome:
    """Run work in a fork, of at most ``cap`` seconds of processor time."""
    with tempfile.TemporaryFile() as file:
        pid = os.fork()
        if not pid:
            code = 70
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (int(cap), int(cap) + 1))
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(file.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", errors="backslashreplace")
                code = work()
            except BaseException as error:
                sys.stderr.write(f"Traceback: {type(error).__name__}: {error}\n")
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status, used = os.wait4(pid, 0)
        file.seek(0)
        said = file.read(20_000).decode(errors="replace")
    return Outcome(os.waitstatus_to_exitcode(status), said, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


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


def problems(only: str) -> dict[str, str]:
    """Return the problem files without a mesh file, by name."""
    texts = {path.stem: path.read_text() for path in sorted(PROBLEMS.glob("*.toml")) if only in path.stem}
    return {name: text for name, text in texts.items() if "\nmesh" not in text}


def check_problem(path: Path) -> int:
    """Run ``vpinn check``."""
    from vpinn.cli import main

    return main(["check", str(path)])


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
    """Return small sound meshes, by suffix and kind."""
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


def run(kind: str, count: int, seed: int, only: str, keep: Path | None) -> Iterator[tuple[str, bytes, Outcome]]:
    """Yield name, content and outcome of mutants."""
    import io
    from contextlib import redirect_stdout

    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with redirect_stdout(io.StringIO()):
            files = problems(only) if kind == "problems" else {}
            sound = {f"{stem}.toml": text.encode() for stem, text in files.items()} or meshes(only, folder)
        names = sorted(sound)
        for number in range(count):
            chosen = names[number % len(names)]
            if kind == "problems":
                content = problem_mutant(generator, sound[chosen].decode()).encode("utf-8", "surrogatepass")
            else:
                content = bytes_mutant(generator, sound[chosen])
            path = folder / f"mutant{Path(chosen).suffix}"
            path.write_bytes(content)
            outcome = forked(lambda path=path: (check_problem if kind == "problems" else check_mesh)(path))  # type: ignore[misc]
            if outcome.fault and keep is not None:
                keep.mkdir(exist_ok=True)
                (keep / f"{seed}-{number}-{chosen.replace(' ', '_')}").write_bytes(content)
            yield chosen, content, outcome


def preload(kind: str) -> None:
    """Load in this process what every fork needs."""
    from vpinn.domain import mesh_file

    if kind == "meshes":  # read as the child does, but in a fork of this process, and so without its start
        import importlib.util

        import meshio  # noqa: F401

        spec = importlib.util.spec_from_file_location("child", mesh_file._CHILD)
        assert spec is not None
        assert spec.loader is not None
        child = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(child)
        child.limit = lambda memory, seconds: _limit(seconds)

        def run(arguments: list[str]) -> int:
            outcome = forked(lambda: child.main(arguments) or 0)
            return outcome.code

        mesh_file._run = run


def _limit(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def main() -> int:
    """Run as asked and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["problems", "meshes"])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    preload(options.kind)
    faults, codes, longest, largest = Counter[str](), Counter[int](), 0.0, 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):  # what was found until then is told
        for chosen, _, outcome in run(options.kind, options.count, options.seed, options.only, options.keep):
            codes[outcome.code] += 1
            longest, largest = max(longest, outcome.seconds), max(largest, outcome.memory)
            if outcome.fault:
                faults[outcome.fault] += 1
                told = f"{outcome.seconds:.1f} s, {outcome.memory / 1e6:.0f} MB: {outcome.said[:300]}"
                print(f"{outcome.fault}: {chosen}: {told}", flush=True)
    print(f"{codes.total()} mutants: codes {dict(codes)}, faults {dict(faults)}, at most {longest:.2f} s, {largest / 1e6:.0f} MB")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
