"""Test the record of a run: rows as in a list, bounded memory, recent steps complete, rare measurements kept."""

from __future__ import annotations

import numpy as np
import pytest

from vpinn.optimization import history
from vpinn.optimization.history import MOST, History


def filled(steps: int, every: int = 0, first: int = 1) -> History:
    """Return a history of (step, value or nan) after so many steps, thinned as training does it."""
    found = History(2, kept=(1,))
    for step in range(first, first + steps):
        found.thin()
        found.append((step, float(step) if every and step % every == 0 else np.nan))
    return found


def test_rows_are_those_of_a_list() -> None:
    rows = [(float(k), 0.1 * k) for k in range(40)]
    found = History(2, rows[:3])
    for row in rows[3:]:
        found.append(row)
    assert list(found) == rows
    assert (len(found), found[-1], found[5], found[-4:], found[2:5]) == (40, rows[-1], rows[5], rows[-4:], rows[2:5])
    found[-1] = (7.0, 8.0)
    assert found[39] == (7.0, 8.0)
    table = found.table
    found.shorten(4)
    assert list(found) == rows[:4]
    assert table.shape == (40, 2)
    with pytest.raises(IndexError):
        found[4]
    with pytest.raises(ValueError, match=r"2 columns, got an array of shape \(2, 40\)"):
        History(2, table.T)
    assert not History(2)


def test_a_long_history_is_bounded_and_its_end_is_complete() -> None:
    steps = 10 * MOST
    found = filled(steps, every=100)
    at = found.table[:, 0]
    assert MOST // 4 < len(found) <= MOST
    assert (np.diff(at) > 0).all()
    assert at[-1] == steps
    assert (np.diff(at[-MOST // 4 :]) == 1).all()
    assert np.diff(at, prepend=0.0).max() <= 4.0 * steps / (MOST // 4)  # no stretch is left out
    measured = found.table[np.isfinite(found.table[:, 1])]
    assert len(measured) == steps / 100
    assert (measured[:, 0] == measured[:, 1]).all()


def test_thinning_keeps_what_is_rarely_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 40)
    for first in (1, 2, 3):  # measured rows at any place of their spans
        found = filled(41, every=7, first=first)
        assert set(range(7, 41, 7)) <= set(found.table[:, 0])
        assert len(found) == 21


def test_a_history_taken_up_again_is_thinned_alike() -> None:
    whole, part = filled(3 * MOST + 5), filled(2 * MOST + 3)
    again = History(2, part.table, kept=(1,))
    for step in range(2 * MOST + 4, 3 * MOST + 6):
        again.thin()
        again.append((step, np.nan))
    assert again.table.tobytes() == whole.table.tobytes()
