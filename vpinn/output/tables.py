"""Tables about runs: `solution_rows` tells what a run did; `plans` has the tables of what a run would do.

A table is a list of rows (label, text); an empty label continues the row above. The command line prints them (`as_table`), and
the HTML report shows the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from vpinn.output.family import family_rows
from vpinn.output.inferred import inferred_rows
from vpinn.output.learned import learned_rows
from vpinn.output.settled import settled_rows
from vpinn.output.subsets import subset_rows, walk_rows
from vpinn.problem import Settings, unused_settings
from vpinn.solution import Solution
from vpinn.text import escaped
from vpinn.trial import Imposed

Rows = list[tuple[str, str]]

MOST_TAGS = 20
"""Largest number of strata in the table, which are those with the largest variance."""
STRAIGHT = 1e-9
"""Angle in radians between sides up to which they are told to be straight."""
FAILED = "CHECK FAILED: "
"""Beginning of the text about a failed check."""
WHOLE = ("elements", "march", "reduced")
"""Methods whose work is not divided among workers."""
UNDIVIDED = {"eigenvalues", "inferred", "subsets"}
"""Metrics of strategies whose work is not divided either."""
_STOPPED = {
    "grown": "more trial functions would gain too little, or be too many",
    "steps": "all steps taken",
    "tolerance": "the tolerance is met",
    "converged": "converged, steps no longer changed the parameters",
    "time limit": "the time limit was reached",
    "callback": "a callback ended it",
    "signal": "stopped by a signal",
    "collapse": "the time steps became too small",
}


def solution_rows(solution: Solution) -> Rows:
    """Return table rows about a finished or unfinished run: method, conditions, sizes, errors and time; not the checks."""
    metrics = solution.metrics
    rows = [
        ("problem", solution.problem.title or "(no title)"),
        ("method", method_text(metrics.get("method", "?"), metrics.get("method_reason", ""))),
        *(("condition" if k == 0 else "", text) for k, text in enumerate(imposed_texts(metrics.get("imposed", [])))),
        *(("undetermined" if k == 0 else "", text) for k, text in enumerate(metrics.get("fixed", []))),
        *unused_rows(solution.problem.settings, metrics.get("method", "")),
        *beside_rows(metrics.get("beside")),
        ("points", _points(metrics)),
        *settled_rows(metrics.get("policy", {})),
        *_strata(metrics.get("strata", [])),
        *_directions(metrics.get("directions")),
        ("parameters", f"{metrics.get('parameters', solution.trial.network.size):,}"),
        ("steps", _steps(metrics, len(solution.history))),
    ]
    for name, found in metrics.get("enrich", {}).items():
        rows += [(f"{name} enriched" if k == 0 else "", f"{c:.8g} · {text}") for k, (text, c) in enumerate(found.items())]
    rows += subset_rows(metrics)
    if metrics.get("loss") is not None:
        rows.append(("loss", f"{metrics['loss']:.6e}"))
    if "measured" in (walk := metrics.get("walk", {})):
        rows.append(("Langevin chain", _walk(walk)))
    if metrics.get("errors_against") != "elements":  # if not, the rows about the elements have the difference
        rows += [(f"error of {name}", _error(found)) for name, found in solution.errors.items()]
    rows += [("eigenvalues" if k == 0 else "", _eigenvalue(found)) for k, found in enumerate(metrics.get("eigenvalues", []))]
    rows += family_rows(metrics.get("family"), metrics.get("processor_seconds"))
    rows += learned_rows(metrics)
    rows += inferred_rows(metrics)
    if "assessed_cells" in metrics and not solution.error_estimate:
        rows.append(("error estimate", 'none: the form has no equations at points; solver.assessment = "full" uses all cells'))
    if "fem" in metrics:
        rows += _finite_elements(metrics["fem"])
    if solution.error_estimate:
        rows.append(("error estimate", _estimate(solution.error_estimate, metrics.get("assessed_cells"))))
    rows += [(f"error of {name}", text) for name, found in metrics.get("fields", {}).items() if (text := _field(found))]
    rows += [("quantities" if k == 0 else "", text) for k, text in enumerate(quantity_texts(metrics))]
    return [*rows, *walk_rows(metrics), *_cost(metrics)]


def _directions(found: Mapping[str, Any] | None) -> Rows:
    """Return the row about drawn second derivatives."""
    if found is None:
        return []
    share = found["directions"] / (found["points"] + found["directions"] or 1.0)
    text = f"{found['count']:,} of {found['most']:,} second derivatives at each point"
    return [("directions", f"{text}, which are {100 * share:.0f} % of the gradient's variance, its points the rest")]


def _cost(metrics: Mapping[str, Any]) -> Rows:
    """Return the rows about workers, time and memory."""
    rows, seconds = [], metrics.get("seconds", {})
    if (workers := metrics.get("workers", 1)) > 1:
        rows.append(("workers", f"{workers}, {_shared(metrics)}"))
    if seconds:
        parts = ", ".join(f"{name} {seconds[name]:.1f}" for name in ("setup", "solve", "assessment") if name in seconds)
        rows.append(("time", f"{seconds['total']:.1f} s ({parts})"))
    if "peak_memory_mb" in metrics:
        of_one = " of worker 0" if workers > 1 else ""
        rows.append(("peak memory", f"{metrics['peak_memory_mb']:,.0f} MB{of_one}"))
    return rows


def _shared(metrics: Mapping[str, Any]) -> str:
    """Return what several workers share."""
    if metrics.get("method") in WHOLE or UNDIVIDED & metrics.keys():
        return "each of which solves the whole problem, since this method does not divide its work"
    return "which share the candidates" if metrics.get("method") == "evolution" else "which share the points of every sum"


def failed_checks(solution: Solution) -> list[str]:
    """Return one text per check that the solution failed; empty if it passed all of them."""
    return [FAILED + check for check in solution.metrics.get("checks", [])]


def as_table(rows: Rows, files: Mapping[str, str] | None = None) -> Table:
    """Return rows as a table for the console, with failed checks in red; ``files`` (label → path) are appended as rows."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in [*rows, *(files or {}).items()]:
        table.add_row(Text(escaped(label)), Text(escaped(text), style="bold red" if text.startswith(FAILED) else ""))
    return table


def method_text(name: str, reason: str) -> str:
    """Return the name of a method, and the reason why it was picked."""
    return f"{name}, {reason}" if reason else name


def unused_rows(settings: Settings, method: str) -> Rows:
    """Return the row about settings of the file that the method does not use; none if it uses all."""
    unused = unused_settings(settings, method)
    return [("not used", f"{', '.join(unused)}: {method} takes no such setting")] if unused else []


def beside_rows(found: Mapping[str, Any] | None) -> Rows:
    """Return the row about a finite element solution that is added to the network; none if there is no such solution."""
    if found is None:
        return []
    return [("elements", f"of degree {found['degree']} on {found['cells']:,} cells, added to the network: {found['why']}")]


def imposed(part: Imposed) -> dict[str, Any]:
    """Return how a condition is imposed, as the metrics tell it."""
    condition = part.condition
    return {"on": condition.on, "unknown": condition.unknown, "component": part.component, "how": part.how, "why": part.why}


def imposed_texts(imposed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one text per boundary condition and way to impose it; components imposed in the same way share a text."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for part in imposed:
        key = (part["unknown"], tuple(part["on"]), part["how"], part["why"])
        alike.setdefault(key, []).append(part["component"])
    texts = []
    for (unknown, on, how, why), found in alike.items():
        which = f" (component{'s' * (len(found) > 1)} {', '.join(map(str, found))})" if found != [0] else ""
        texts.append(f"{unknown}{which} on {', '.join(on)}: {how}, {why}")
    return texts


def _steps(metrics: Mapping[str, Any], rows: int) -> str:
    """Return the number of steps, the best of them if it is not the last, and why the run ended."""
    steps = metrics.get("steps", rows)
    best = metrics.get("best_step", steps)
    other = "" if best == steps else f", the best of which is step {best:,}"
    return f"{steps:,}{other}: {_STOPPED.get(metrics.get('stopped', ''), 'unfinished')}"


def _points(metrics: Mapping[str, Any]) -> str:
    """Return the number of quadrature points, how many of them a step uses, and the number of test functions."""
    batch, changes = metrics.get("batch_size", "full"), "batch" in metrics.get("policy", {})
    every = "all in every step" if batch == "full" else f"{batch:,} per step"
    drawn = "in batches" if changes else every
    text = f"{metrics.get('quadrature_points', 0):,}, {drawn}"
    tests, directions = metrics.get("test_functions"), (metrics.get("tests") or {}).get("directions")
    return text + (f"; {tests:,} test functions" if tests else "") + (f" for {directions:,} weights" if directions else "")


def _strata(found: Sequence[Mapping[str, Any]]) -> Rows:
    """Return rows about strata by tag: share W of the domain, n points, deviation σ of the gradient, share of Σ W²σ²/n."""
    noise = [(s["share"] * s["deviation"]) ** 2 / s["points"] for s in found]
    rows: Rows = []
    for k in sorted(range(len(found)), key=lambda k: -noise[k])[:MOST_TAGS]:
        s, part = found[k], 100.0 * noise[k] / sum(noise) if sum(noise) else 0.0
        told = f"{s['tag']}: {100 * s['share']:.3g} % of the {s['measure']}, {s['points']:,} points, deviation of the gradient"
        rows.append(("" if rows else "strata by tag", f"{told} {s['deviation']:.2e}, {part:.0f} % of the variance"))
    return rows + ([("", f"and {len(found) - MOST_TAGS:,} more in metrics.json")] if len(found) > MOST_TAGS else [])


def _walk(walk: Mapping[str, Any]) -> str:
    """Return the text about a Langevin chain: directions, acceptance, set and measured temperature, independent samples."""
    measured = f"T = {walk['temperature']:.2e}, measured {walk['measured']:.2f} ± {walk['standard_error']:.2f} times T"
    where = f"in {walk['directions']} direction{'s' * (walk['directions'] != 1)}, {100 * walk['accepted']:.0f} % accepted"
    held = f"; {100 * walk['held']:.0f} % of the field's variance from directions not sampled" if "held" in walk else ""
    return f"{where}; {measured}; {walk['independent']:.0f} independent samples{held}"


def _error(found: Mapping[str, float]) -> str:
    named = (("relative_l2", "L²"), ("relative_h1", "H¹"), ("relative_l2_final", "L² at the end"))
    return f"{', '.join(f'{name} {found[key]:.2e}' for key, name in named if key in found)} (relative)"


def _finite_elements(fem: Mapping[str, Any]) -> Rows:
    """Return rows about the finite element solution of the same form: its size, its error, and the network's distance from it."""
    size = f"degree {fem['degree']}, refined {fem['refine']}×, {fem['dofs']:,} unknowns, {fem['seconds']:.2f} s"
    own = [f"error of {name} in elements: {_error(found)}" for name, found in fem["errors"].items()]
    between = [f"difference of {name} from elements: {_error(found)}" for name, found in fem["difference"].items()]
    return [("finite elements" if k == 0 else "", text) for k, text in enumerate([size, *own, *between])]


def _estimate(found: Mapping[str, Any], cells: Mapping[str, int] | None) -> str:
    """Return the text about the error estimate, with its confidence interval if it was computed on drawn cells."""
    if "relative_eigenvalues" in found:
        text = f"{found['relative_eigenvalues']:.1e} of an eigenvalue at most"
        angle = found["kink"]
        return text if angle <= STRAIGHT else f"{text}; the curve that sides stand for is not seen, they meet at {angle:.1e} rad"
    if "relative_bound" in found:
        return f"{found['relative_bound']:.1e} of this member's solution at most, a bound"
    text = f"{found.get('relative_energy', math.nan):.2e} of the {'flux' if 'relative_energy_final' not in found else 'H¹ norm'}"
    if cells and "interval" in found:
        low, high = found["interval"]
        text += f" ({low:.1e} to {high:.1e}, from {cells['drawn']:,} of {cells['of']:,} cells)"
    text += "".join(f", L² of {name} {value:.2e}" for name, value in found.get("relative_l2", {}).items()) + " (relative)"
    effectivity = found.get("effectivity")
    if effectivity is not None:
        return f"{text}, effectivity {effectivity:.3f}"
    return f"{text}{_curve(found.get('kink', 0.0), found.get('relative_energy', math.nan))}"


def _curve(angle: float, relative: float) -> str:
    """Return that the mesh's geometry dominates an error, if its sides stand for a curve; "" if it is small.

    The tangents of the sides are wrong by the angle at which they meet, and quantities by its square or more.

    Args:
        angle: largest angle in radians between sides that may stand for a curve.
        relative: error estimate on the mesh, relative.
    """
    if angle <= STRAIGHT or angle**2 <= relative:
        return ""
    return f"; if sides that meet at {angle:.1e} rad stand for a curve, that error is larger and not seen: refine the mesh there"


def quantity_texts(metrics: Mapping[str, Any]) -> list[str]:
    """Return one text per quantity: its value with as many digits as its error leaves, that error, and the exact value."""
    texts = []
    for name, found in metrics.get("quantities", {}).items():
        value, error = found["value"], found["error"]
        exact = found.get("exact")
        text = f"{name} = {value:.6g}, without an error estimate"
        if error is not None:
            text = f"{name} = {value:.{_digits(value, error)}g} ± {error:.1e}"
            angle = (metrics.get("error_estimate") or {}).get("kink", 0.0)
            text += _curve(angle, error / abs(value) if value else math.inf)
        text += " at the end" if "times" in found else ""
        texts.append(text if exact is None else f"{text} (exact {exact:.8g})")
    return texts


def _field(found: Mapping[str, float]) -> str:
    """Return the text about the error of a further field and its estimate, "" where neither is known."""
    named = {"relative_l2": "L² {}", "estimate": "estimate {}", "relative_l2_final": "L² {} at the end"}
    named["estimate_final"] = "estimate {} at the end"
    told = ", ".join(text.format(f"{found[key]:.2e}") for key, text in named.items() if key in found)
    return f"{told} (relative)" if told else ""


def _digits(value: float, error: float) -> int:
    """Return how many digits of a value its error leaves, 2 to 17."""
    return 17 if not error else int(np.clip(np.ceil(np.log10(max(abs(value), error) / error)) + 1, 2, 17))


def _eigenvalue(found: Mapping[str, float]) -> str:
    """Return an eigenvalue with as many digits as its error leaves, and its error."""
    value, bound = found["value"], found["bound"]
    digits = _digits(value, bound)
    imaginary = found.get("imaginary", 0.0)
    sign = "−" if imaginary < 0 else "+"
    rest = f" {sign} {abs(imaginary):.{digits}g} i" if "imaginary" in found else ""
    return f"{value:.{digits}g}{rest} ± {bound:.1e}"
