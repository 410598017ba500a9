"""What an inverse problem inferred: table rows, and a figure of the data against what the solution makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Rows = list[tuple[str, str]]
STRONG = 0.9
"""Size of a correlation from which it has a row."""


def inferred_rows(metrics: Mapping[str, Any]) -> Rows:
    """Return rows about what was inferred and how well it explains the data; none for other problems."""
    rows = [(name, _text(found)) for name, found in metrics.get("inferred", {}).items()]
    for pair, value in metrics.get("correlation", {}).items():
        if abs(value) >= STRONG:
            rows.append(("correlation", f"{value:+.3f} of {pair}: the data hardly tell one from the other"))
    data = metrics.get("data")
    if data is None:
        return rows
    told = f"{data['count']:,} values; {data['effective_parameters']:.1f} coefficients are told by them"
    if data["p_value"] is not None:
        told += f"; χ² = {data['chi2']:.4g} for {data['degrees_of_freedom']:.4g} degrees of freedom, p = {data['p_value']:.2g}"
    rows.append(("data", told))
    for one in data["sections"]:
        if one["noise_inferred"]:
            rows.append(("", f"{one['observes']}: noise of {one['noise']:.3g} inferred from {one['count']:,} values"))
    return rows


def _text(found: Mapping[str, Any]) -> str:
    """Return a number with as many digits as its deviation leaves, or the range of a field."""
    if found.get("field"):
        prior = found["prior"]
        return (
            f"{found['least']:.4g} to {found['most']:.4g}, standard deviation {found['std']:.2g} on the average; "
            f"its prior changes over a length of {prior['length']:.3g}"
        )
    value, deviation = found["value"], found["std"]
    digits = 15 if not deviation else int(np.clip(np.ceil(np.log10(max(abs(value), deviation) / deviation)) + 2, 2, 15))
    exact = f" (exact {found['exact']:.{digits}g})" if "exact" in found else ""
    return f"{value:.{digits}g} ± {deviation:.2g}{exact}"
