from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vpinn.errors import InputError
from vpinn.problem.places import key_lines, line_of
from vpinn.problem.source import parse, read_source

TEXT = '''title = "x"
[domain]
shape = "rectangle" # c = "
lower = [
  0, # first
  1]
a.b = 3
[form]
strong = [
  "a, ] [",
  """multi
  'x'""",
  "c"]
weak = """
a"b
"""
"q.r" = 'x#'
[[boundary]]
on = "all"
value = { a = [1, 2], b = "}" }
[[boundary]]
on = ["a",
"b"]
[boundary.sub]
k = 1
'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_has_its_line(write: Callable[[str], Path], newline: str) -> None:
    path = write("")
    path.write_bytes(TEXT.replace("\n", newline).encode())
    lines = read_source(path).lines
    expected = {
        ("title",): 1,
        ("domain",): 2,
        ("domain", "shape"): 3,
        ("domain", "lower"): 4,
        ("domain", "lower", 0): 5,
        ("domain", "lower", 1): 6,
        ("domain", "a"): 7,
        ("domain", "a", "b"): 7,
        ("form",): 8,
        ("form", "strong"): 9,
        ("form", "strong", 0): 10,
        ("form", "strong", 1): 11,
        ("form", "strong", 2): 13,
        ("form", "weak"): 14,
        ("form", "q.r"): 17,
        ("boundary",): 18,
        ("boundary", 0): 18,
        ("boundary", 0, "on"): 19,
        ("boundary", 0, "value"): 20,
        ("boundary", 1): 21,
        ("boundary", 1, "on"): 22,
        ("boundary", 1, "on", 0): 22,
        ("boundary", 1, "on", 1): 23,
        ("boundary", 1, "sub"): 24,
        ("boundary", 1, "sub", "k"): 25,
    }
    assert lines == expected


def test_a_place_inside_an_inline_table_is_the_line_of_its_key() -> None:
    lines = key_lines(TEXT)
    assert line_of(lines, ("boundary", 0, "value", "a", 1)) == 20
    assert line_of(lines, ("solver", "steps")) is None


def test_a_table_without_a_header_has_the_line_of_the_first_header_in_it() -> None:
    lines = key_lines("[unk.nowns]\nu = 'scalar'\n[domain.a]\nb = 1\n[domain]\nc = 1\n")
    assert lines["unk",] == 1
    assert lines["domain",] == 5


def test_overrides(write: Callable[[str], Path]) -> None:
    path = write('[solver]\nsteps = 1\n[[boundary]]\non = "all"\n')
    source = read_source(path, ["solver.steps=5", "form.weak=u*v*dx", "boundary.0.value=[1, 2]", "title=2 = 2"])
    assert source.data["solver"]["steps"] == 5
    assert source.data["form"] == {"weak": "u*v*dx"}
    assert source.data["boundary"][0]["value"] == [1, 2]
    assert source.data["title"] == "2 = 2"
    assert source.place("solver", "steps") == "--set solver.steps"
    assert source.place("boundary", 0, "on") == f"{path}:4"
    assert source.place("network") == str(path)


@pytest.mark.parametrize(
    "item", ["steps", "=1", "a..b=1", ".=1", "solver.steps.x=1", "boundary.7.on=1", "boundary.x=1", ".".join("a" * 9) + "=1"]
)
def test_malformed_overrides(write: Callable[[str], Path], item: str) -> None:
    with pytest.raises(InputError, match=r"^--set"):
        read_source(write("[solver]\nsteps = 1\n[[boundary]]\non = 'all'\n"), [item])


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing.toml", ".", "a\0b", "x" * 5000):
        with pytest.raises(InputError):
            read_source(tmp_path / name)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="regular file"):
            read_source(device)


def test_text_that_is_not_utf8_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"title = 'a'\nb = '\xe9'\n")
    with pytest.raises(InputError, match="UTF-8") as caught:
        read_source(path)
    assert caught.value.where == f"{path}:2"


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbftitle = 'a'\n")
    assert read_source(path).data == {"title": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 5000 + " = 1",
        "\n".join(['"a\\' * 3000] * 20),
        "\n".join(['"a" ' * 2999] * 20),
        "\n".join(["a" * 11_999] * 20),
        "\n".join(['"' + "x" * 62 + '".' + "y " * 5900] * 20),
        "[" * 9000,
        "a = " + "[" * 9000,
        "a = " + "{a=" * 3000,
    ],
)
def test_no_text_keeps_the_parser_busy(text: str) -> None:
    start = time.process_time()
    with pytest.raises(InputError):
        parse(text, "file")
    assert time.process_time() - start < 2
