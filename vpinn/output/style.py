"""The look of all figures: colours, fonts, colour maps chosen by the range of the data, and labels of logarithmic axes.

Draw inside ``with styled():``, and make figures with `figure`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from vpinn.text import escaped

Array = NDArray[np.float64]

INK, FAINT, ACCENT, TRUTH = "#1f2933", "#9aa5b1", "#0b6e99", "#d1495b"
"""Colours: INK for text and outlines, FAINT for the background, ACCENT for lines, TRUTH for exact values and the boundary."""
STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Source Sans 3", "Source Sans Pro", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 10,
    "axes.titlesize": 11,
    "figure.titlesize": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#d9dee3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "axes.formatter.limits": (-3, 4),
    "figure.dpi": 150,
    "savefig.dpi": 150,
}
RARE, BEYOND = 0.005, 1.0
"""Share of the domain whose values at each end count as few; how far colours go beyond the others, relative to their range."""
OVERSHOOT = 0.02
"""Share of the largest absolute value, dimensionless, up to which values of the other sign are taken for errors around zero."""


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST = 120
"""Number of characters after which a title or label is cut off."""


@contextmanager
def styled() -> Iterator[None]:
    """Use the style of vpinn inside a with block, independent of the user's matplotlib settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def colours(values: Array, shares: Array | None = None) -> tuple[str, Normalize]:
    """Return a colour map and its range for values: diverging around zero if the values change sign, sequential otherwise.

    Args:
        values: Values to draw; those that are not finite are left out.
        shares: If a few values may be infinite in truth, such as stresses at a corner, the size of the part of the domain that
            each stands for: the range ends where they begin.
    """
    there = np.isfinite(values)
    finite = values[there]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if shares is not None and len(finite):
        order = np.argsort(finite)
        below = np.cumsum(shares[there][order])
        first, last = np.interp([RARE, 1.0 - RARE], below / below[-1], finite[order])
        low, high = max(low, first - BEYOND * (last - first)), min(high, last + BEYOND * (last - first))
    reach = max(abs(low), abs(high))
    if min(-low, high) > OVERSHOOT * reach:
        return "RdBu_r", Normalize(-reach, reach)
    if high - low <= 1e-12 * reach:
        return "viridis", Normalize(low - 0.5 * (reach or 1.0), high + 0.5 * (reach or 1.0))
    return "viridis", Normalize(low, high)


def magnitudes(values: Array) -> tuple[str, Normalize]:
    """Return a colour map and its range for values ≥ 0; logarithmic over at most 4 decades if they differ by a factor of 20."""
    positive = values[np.isfinite(values) & (values > 0.0)]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.0, 1.0)
    return "magma", LogNorm(max(low, 1e-4 * high), high) if high > 20.0 * low > 0.0 else Normalize(0.0, high)


def powers_of_ten(axis: Axis) -> None:
    """Label a logarithmic axis at powers of ten, and at 2 and 5 times them if it spans less than a factor of 30.

    Labels are plain text, because parsing formulas, which matplotlib uses by default, takes much of the time of a figure.
    """
    low, high = sorted(axis.get_view_interval())
    few = low > 0.0 and high < 30.0 * low
    axis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """Return a value > 0 as text: as a plain number between 0.01 and 1,000, otherwise as 10⁻⁵ or 2·10⁻⁵."""
    if 0.0099 < value < 1001.0:
        return f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return power if digits == "1" else f"{digits}·{power}"


def levels(norm: Normalize) -> Array:
    """Return ten levels for contour lines in a range [10].

    None is in the middle of the range: in a diverging map that is zero, which a field may take on whole parts of the boundary.
    """
    return np.linspace(float(norm.vmin or 0.0), float(norm.vmax or 0.0), 12)[1:-1]


def figure(width: float, height: float, title: str = "", layout: Literal["compressed", "constrained"] = "compressed") -> Figure:
    """Return an empty figure of this width and height [inches], whose layout engine keeps its parts from overlapping."""
    created = Figure(figsize=(width, height), layout=layout)
    if title:
        created.suptitle(literal(title), fontweight="bold")
    return created


def literal(text: str) -> str:
    """Return a user's text for a figure: one line of at most `LONGEST` characters that matplotlib does not parse as a formula."""
    shown = escaped(text)
    return (shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…").replace("$", r"\$")
