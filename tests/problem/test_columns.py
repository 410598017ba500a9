"""Test CSV files of numbers under a header line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vpinn.errors import InputError
from vpinn.problem import columns
from vpinn.problem.columns import read_columns


@pytest.mark.parametrize("text", ["x,u\n0.5,1\n", "\ufeff x , u\r\n\r\n 0.5 , 1 \r\n", 'x,"u"\r"0.5",1\r', "\nx,u\n\n0.5,1"])
def test_a_header_and_rows(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, newline="")
    assert {name: values.tolist() for name, values in read_columns(tmp_path / "a.csv", "it").items()} == {"x": [0.5], "u": [1.0]}


def test_many_rows_take_a_few_times_their_size(tmp_path: Path) -> None:
    """A file of 200 MB, the largest that is allowed, took 12 GB."""
    (tmp_path / "a.csv").write_text("x,u\n" + "0.5,1\n" * 100_000)
    tracemalloc.start()
    try:
        found = read_columns(tmp_path / "a.csv", "it")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(found["x"], np.full(100_000, 0.5))
    assert peak < 10_000_000


def test_files_that_are_too_large_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_BYTES", 8)
    (tmp_path / "a.csv").write_text("x,u\n0.5,1\n")
    with pytest.raises(InputError, match="it is larger than"):
        read_columns(tmp_path / "a.csv", "it")
