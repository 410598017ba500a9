"""Test the stored inputs that coverage-guided fuzzing has found, and those that once failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .coverage import CORPUS, kept, stored
from .targets import TARGETS, tried


@pytest.mark.parametrize("name", TARGETS)
def test_every_text_ends_with_a_result_or_one_line(name: str, tmp_path: Path) -> None:
    accepted = [tried(name, content, tmp_path) for content in stored(name)]
    assert len(accepted) >= 3
    assert any(accepted)
    assert not all(accepted)


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 100_000


def test_what_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(data: bytes, folder: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(TARGETS, "wrong", wrong)
    with pytest.raises(ZeroDivisionError):
        tried("wrong", b"", tmp_path)


def test_only_what_reaches_further_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    found = kept("points", [b"0.5,0.5\n", b"0.25,0.25\n", b"x,y\n0.5,0.5\n", b"y,x\n0.25,0.5\n"], 9)
    assert found == [b"0.5,0.5\n", b"x,y\n0.5,0.5\n"]
