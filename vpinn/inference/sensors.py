"""Measurements of a finite element function: what they would be, and their derivatives by its coefficients.

An integral is measured at the points of a quadrature rule, whose weights add up the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ufl.classes import Form

from vpinn.domain import Points, located_points
from vpinn.finite_elements import Key, MixedSpace, key_of, rule_degree
from vpinn.forms import Background, Graph, Jet, Tape, Value, build, compile_tape, components, integrals, jet_slopes
from vpinn.placement import host
from vpinn.problem import Problem
from vpinn.problem.inverse import Observation

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sensors:
    """Expressions of a finite element function at points.

    Attributes:
        tape: outputs the k expressions, then their derivatives, one by one.
        fixed: values of the tape that depend on the points alone.
        points: the n points.
        keys: component and place of each value or derivative of the function that the tape takes.
        used: for each derivative, number of the expression, and of the value in ``keys`` by which it is taken.
        tables: for each of ``keys``, its basis functions at the points, sparse [n, mixed.size].
        count: k.
        weights: quadrature weights of the points [n] if the measurement is an integral; None if there is one at each point.
        mixed: elements of the function.
    """

    tape: Tape
    fixed: Sequence[Value]
    points: Points
    keys: tuple[tuple[int, int], ...]
    used: tuple[tuple[int, int], ...]
    tables: tuple[Any, ...]
    count: int
    weights: Array | None
    mixed: MixedSpace

    def __call__(self, values: Array, slopes: bool = True) -> tuple[Array, Any]:
        """Return the measurements, and their derivatives by the coefficients.

        Args:
            values: coefficients of the function [mixed.size].
            slopes: whether derivatives are wanted.

        Returns:
            measurements [n k], point by point, or their sum [1]; and derivatives, sparse [n k or 1, mixed.size], None unless
            wanted.
        """
        n = len(self.points)
        jets = torch.from_numpy(self.mixed.highest.jets(self.mixed.embedded(values), self.points.cell, self.points.reference, 1))
        inputs = [jets[c, :, place].contiguous() for c, place in self.keys]
        found = [host(v) if isinstance(v, torch.Tensor) else np.full(n, v) for v in self.tape.moving([*self.fixed, *inputs])]
        measured = np.stack(found[: self.count], axis=1)
        if self.weights is not None:
            measured = (self.weights @ measured).reshape(1, -1)
        return measured.ravel(), self._slopes(found[self.count :]) if slopes else None

    def _slopes(self, found: Sequence[Array]) -> Any:
        from scipy.sparse import csr_array, diags_array, vstack

        n = len(self.points)
        rows = [csr_array((n, self.mixed.size)) for _ in range(self.count)]
        for (number, key), slope in zip(self.used, found, strict=True):
            rows[number] = rows[number] + diags_array(slope) @ self.tables[key]
        if self.weights is not None:
            return csr_array(vstack([csr_array((self.weights @ row)[None]) for row in rows]))
        order = np.arange(n * self.count).reshape(self.count, n).T.ravel()
        return vstack(rows).tocsr()[order]


def make_sensors(observation: Observation, problem: Problem, mixed: MixedSpace) -> list[Sensors]:
    """Return the sensors of an observation, whose measurements are added if there are several.

    Args:
        observation: what was measured.
        problem: problem whose unknowns are the components of the elements, including numbers and fields to infer.
        mixed: the elements.
    """
    mesh = mixed.mesh
    if not isinstance(observation.what, Form):
        points = located_points(mesh, np.asarray(observation.points))[0]
        return [_sensors(components(observation.what), points, None, problem, mixed)]
    found = []
    for part in integrals(observation.what):
        tags = tuple(problem.tags[i] for i in part.tags) or ("all",)
        every = part.region.of(mesh, tags).on_cells(rule_degree(mixed.highest.degree, mesh))
        points = every.take(np.arange(every.size))
        found.append(_sensors([part.integrand], points, points.w, problem, mixed))
    return found


def _sensors(expressions: Sequence[Any], points: Points, weights: Array | None, problem: Problem, mixed: MixedSpace) -> Sensors:
    first, counts = 0, dict[int, Key]()
    for unknown in problem.unknowns:
        counts[unknown.function.count()] = first, 0
        first += unknown.components
    graph = Graph(frozenset(counts))
    nodes = [build(graph, part) for part in expressions]
    slopes = jet_slopes(graph, nodes, counts)
    tape = compile_tape(graph, [*nodes, *slopes.values()])
    fixed = tape.fixed(Background(mixed.mesh).values(tape.fixed_slots, points))
    moving = [slot for slot in tape.moving_slots if isinstance(slot, Jet)]
    every = list(dict.fromkeys([*moving, *(slot for _, slot in slopes)]))
    keys = [key_of(slot, counts) for slot in every]
    tables = _tables(keys, points, mixed)
    numbered = tuple((number, every.index(slot)) for number, slot in slopes)
    return Sensors(tape, fixed, points, tuple(keys[: len(moving)]), numbered, tuple(tables), len(nodes), weights, mixed)


def _tables(keys: Sequence[tuple[int, int]], points: Points, mixed: MixedSpace) -> list[Any]:
    """Return the values (place 0) or derivatives (1 …) of a component's basis functions at points, sparse [n, mixed.size]."""
    from scipy.sparse import csr_array

    n, found = len(points), list[Any]()
    known = dict[int, tuple[Array, Array]]()
    for component, place in keys:
        space = mixed.spaces[component]
        if space.degree not in known:
            known[space.degree] = space.functions(points.cell, points.reference)
        values, gradients = known[space.degree]
        entries = values if place == 0 else gradients[:, place - 1]
        columns = mixed.first[component] + space.dofs[points.cell]
        rows = np.repeat(np.arange(n), columns.shape[1])
        found.append(csr_array((entries.ravel(), (rows, columns.ravel())), shape=(n, mixed.size)))
    return found
