"""Fuzz the readers of texts with atheris (libFuzzer for Python), guided by code coverage.

Atheris is not a dependency: ``pip install atheris``. ``python tests/reliability/coverage.py expression --seconds 900 --corpus
FOLDER`` feeds a target of ``targets.py`` with texts that reach new lines of code, starting from those of the tests and of the
folder. It ends at the first text that leads to neither a result nor an error of one line. Afterwards ``--keep 60`` writes the
smallest texts of the folder that together reach as many lines into the file of the tests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
INSTRUMENTED = (
    "vpinn.problem", "vpinn.output.given", "vpinn.optimization.checkpoint", "vpinn.run_files", "vpinn.storage", "tomllib",
)  # fmt: skip


def stored(name: str) -> list[bytes]:
    """Return the stored inputs of a target: one JSON text per line, in which each character is a byte."""
    path = CORPUS / f"{name}.txt"
    return [json.loads(line).encode("latin-1") for line in path.read_text().splitlines()] if path.exists() else []


def store(name: str, contents: list[bytes]) -> None:
    """Write the stored inputs of a target."""
    CORPUS.mkdir(exist_ok=True)
    lines = (json.dumps(content.decode("latin-1")) for content in contents)
    (CORPUS / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def kept(name: str, contents: list[bytes], most: int) -> list[bytes]:
    """Return a limited number of contents, smallest first, each of which reaches lines that the ones before do not."""
    from targets import tried

    reached: set[tuple[str, int]] = set()
    new: set[tuple[str, int]] = set()

    def seen(code: object, line: int) -> object:
        file = code.co_filename  # type: ignore[attr-defined]
        if "/vpinn/" in file:
            new.add((file, line))
        return None

    def trace(frame: object, event: str, argument: object) -> object:
        code = frame.f_code  # type: ignore[attr-defined]
        if "/vpinn/" not in code.co_filename:
            return None
        seen(code, frame.f_lineno)  # type: ignore[attr-defined]
        return trace

    chosen = []
    with tempfile.TemporaryDirectory() as folder:
        for content in sorted(contents, key=lambda content: (len(content), content)):
            new.clear()
            sys.settrace(trace)  # type: ignore[arg-type]
            try:
                tried(name, content, Path(folder))
            finally:
                sys.settrace(None)
            if new - reached and len(chosen) < most:
                chosen.append(content)
                reached |= new
    return chosen


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--keep", type=int, default=0)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as name:
        corpus = options.corpus or Path(name)
        corpus.mkdir(parents=True, exist_ok=True)
        if options.keep:
            files = [path.read_bytes() for path in corpus.iterdir() if path.is_file()]
            store(options.target, kept(options.target, [*stored(options.target), *files], options.keep))
            return
        for number, content in enumerate(stored(options.target)):
            (corpus / f"stored-{number}").write_bytes(content)
        _fuzz(options.target, options.seconds, corpus)


def _fuzz(target: str, seconds: int, corpus: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from targets import tried
    folder = Path(tempfile.mkdtemp())

    def one(data: bytes) -> None:
        tried(target, data, folder)

    (folder / "words").write_text("".join(f"{json.dumps(word)}\n" for word in _words()))
    limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=3000"]
    words = [f"-max_total_time={seconds}", f"-dict={folder / 'words'}", *limits, "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *words, f"-artifact_prefix={corpus}-", str(corpus)], one)
    atheris.Fuzz()


def _words() -> list[str]:
    """Return names of operators and settings, and separators."""
    from vpinn.problem import schema_json
    from vpinn.problem.operators import MEASURES, make_operators

    def keys(schema: object) -> list[str]:
        if not isinstance(schema, dict):
            return []
        return [*schema.get("properties", {}), *(key for part in schema.values() for key in keys(part))]

    between = ("**", "[[", "]]", "'''", "dx", "ds('left')", "1e999", " and ", " not ", " = ", "9**9", "lambda", "__class__")
    names = {*make_operators(2), *MEASURES, *keys(schema_json()), *between}
    return sorted(name for name in names if name.isascii())


if __name__ == "__main__":
    main()
