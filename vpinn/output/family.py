"""Table rows about families of problems: what would be done, and what a reduced space is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpinn.families import WITHOUT
from vpinn.output.formula import lowered_form
from vpinn.problem import Problem, member

Rows = list[tuple[str, str]]
COMPARED = {"elements": "elements of the same mesh and degree", "anew": "elements chosen anew"}
"""What a family is compared with, as tables name it."""


def rows_of_family(problem: Problem) -> Rows:
    """Return what would be done to solve a family; runs nothing."""
    parameters = problem.ranges
    middle = member(problem, parameters.center)
    unknowns = (f"{u.name} ({'scalar' if not u.shape else f'{u.components} components'})" for u in problem.unknowns)
    scales = zip(parameters.names, parameters.lower, parameters.upper, parameters.log, strict=True)
    ranges = [f"{name} from {low:g} to {high:g}{', on a log scale' if log else ''}" for name, low, high, log in scales]
    form = [text for part in lowered_form(middle) for text in part.split("\n")]
    return [
        ("problem", problem.title or "(no title)"),
        ("unknowns", ", ".join(unknowns)),
        *(("parameters" if k == 0 else "", text) for k, text in enumerate(ranges)),
        *((f"form at {parameters.told(parameters.center)}" if k == 0 else "", text) for k, text in enumerate(form)),
        *(("condition" if k == 0 else "", f"{c.unknown} on {', '.join(c.on)}") for k, c in enumerate(problem.boundary)),
        ("method", "a reduced space: members where the bound of the error is largest are solved by elements, until it is small"),
    ]


def family_rows(family: Mapping[str, Any] | None, cost: Mapping[str, Any] | None) -> Rows:
    """Return what the metrics tell of a family, none of a single problem: its space, bounds, errors and costs."""
    if family is None:
        return []
    ranges = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in family["parameters"].items())
    norm = "energy norm" if family["norm"] == "energy" else "H¹ norm"
    kind = "bound" if family["rigorous"] else "bound, with an estimate of the stability,"
    made = f"{family['functions']} functions from {family['members']} members; {family['terms']} terms of form and sources"
    for one in family["interpolated"]:
        made += f", {one['terms']} of them interpolated with an error of {one['error']:.0e}"
    largest = f"{family['largest_bound']:.1e} of the {norm} at most over the range: {kind} of every query"
    if not family["largest_bound"] <= WITHOUT:
        largest = "not bounded over the range: a member may have no solution, as at resonance"
    rows = [("parameters", ranges), ("reduced space", made), ("largest error", largest)]
    if family["largest_bound"] <= WITHOUT and (judged := family["judged"]):
        errors, effects = [one["error"] for one in judged], [one["effectivity"] for one in judged]
        told = f"{max(errors):.1e} of the {norm} at most on {len(judged)} members not used; bound over error"
        rows.append(("error", f"{told} {min(effects):.2f} to {max(effects):.2f}"))
        for name in judged[0].get("exact", {}):
            worst = max(one["exact"][name] for one in judged)
            rows.append((f"error of {name}", f"L² {worst:.2e} (relative) at most on these members"))
    return rows + _cost(cost)


def _cost(cost: Mapping[str, Any] | None) -> Rows:
    """Return the rows about processor time, and from which query a family pays."""
    if cost is None:
        return []
    others = [f"{text} {cost[name]:.2g} s" for name, text in COMPARED.items() if name in cost]
    rows = [("cost", f"{cost['all']:.3g} s of processor time in all, {1e3 * cost['query']:.2g} ms a query; {', '.join(others)}")]
    for name, text in COMPARED.items():
        if name in cost:
            pays = cost["pays"][name]
            rows.append(("pays", f"against {text}: {'never' if pays is None else f'from query {pays:,} on'}"))
    return rows
