"""How figures look: one style, colour maps by the sign of the data, and titles of components."""

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
"""Colours of outlines, of what stands back, of lines, and of what is known or lies on the boundary."""
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
OVERSHOOT = 0.02
"""Share of the range below which values on the other side of zero are taken for noise around it."""


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST = 120
"""Characters of a title or label; longer ones are cut."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of vpinn, whatever the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def colours(values: Array) -> tuple[str, Normalize]:
    """Return colour map and range: diverging around zero where the values change sign, sequential otherwise."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    reach = max(abs(low), abs(high))
    if min(-low, high) > OVERSHOOT * reach:
        return "RdBu_r", Normalize(-reach, reach)
    if high - low <= 1e-12 * reach:
        return "viridis", Normalize(low - 0.5 * (reach or 1.0), high + 0.5 * (reach or 1.0))
    return "viridis", Normalize(low, high)


def magnitudes(values: Array) -> tuple[str, Normalize]:
    """Return colour map and range for values ≥ 0: logarithmic, over at most four decades, where they differ by a factor of 20."""
    positive = values[np.isfinite(values) & (values > 0.0)]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.0, 1.0)
    return "magma", LogNorm(max(low, 1e-4 * high), high) if high > 20.0 * low > 0.0 else Normalize(0.0, high)


def powers_of_ten(axis: Axis) -> None:
    """Label the powers of ten of a logarithmic axis, and 2 and 5 times these where there are few, in plain text.

    Formulas, which matplotlib takes by default, are parsed for every label: that took a third of the time of a figure.
    """
    low, high = sorted(axis.get_view_interval())
    few = low > 0.0 and high < 30.0 * low
    axis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """Return a value > 0 as 10⁻⁵ or 2·10⁻⁵, as it is between 0.01 and 1,000."""
    if 0.0099 < value < 1001.0:
        return f"{value:g}"
    digits, exponent = f"{value:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return power if digits == "1" else f"{digits}·{power}"


def levels(norm: Normalize) -> Array:
    """Return ten level lines within a range, none of them at its middle: where that is zero, it lies on whole boundaries."""
    return np.linspace(float(norm.vmin or 0.0), float(norm.vmax or 0.0), 12)[1:-1]


def figure(width: float, height: float, title: str = "", layout: Literal["compressed", "constrained"] = "compressed") -> Figure:
    """Return an empty figure [inches] that keeps what is drawn from overlapping."""
    created = Figure(figsize=(width, height), layout=layout)
    if title:
        created.suptitle(literal(title), fontweight="bold")
    return created


def literal(text: str) -> str:
    """Return a text of others for a figure, in one line: matplotlib finds neither formulas nor control characters in it."""
    shown = escaped(text)
    return (shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…").replace("$", r"\$")
