"""Test that every malformed problem file leads quickly to an InputError of one line with the right position."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vpinn.errors import InputError
from vpinn.problem import read_problem

from .corpus import MALFORMED, problem


def test_corpus_is_large_and_its_base_is_sound(write: Callable[[str], Path]) -> None:
    assert len(MALFORMED) >= 150
    read_problem(write(problem()))


@pytest.mark.parametrize("number", range(len(MALFORMED)))
def test_malformed(number: int, write: Callable[[str], Path]) -> None:
    text, part = MALFORMED[number]
    path = write(text)
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        read_problem(path)
    assert time.process_time() - start < 2
    message = str(caught.value)
    assert part in caught.value.message
    assert "\n" not in message
    assert len(message) < 700
    marked = [line for line, content in enumerate(text.split("\n"), 1) if content.endswith("#!")]
    assert caught.value.where == (f"{path}:{marked[0]}" if marked else caught.value.where)
    assert caught.value.where.startswith(str(path))
