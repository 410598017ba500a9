"""One measure of a form, dx or ds: its quadrature points, prepared for training, and the compiled integrands there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpinn.domain import PointSet, Region
from vpinn.domain.sequences import Keys, draw_keys
from vpinn.forms import Background, Jet, Parameter, Tape, Value
from vpinn.objective.contraction import Contraction, Frame
from vpinn.objective.directions import Directions
from vpinn.placement import HOST, Placement
from vpinn.trial import Jets, Network, Pullback

CACHE_BYTES = 512e6
"""Memory in bytes up to which the prepared points are stored; above, they are computed anew for every batch."""
CHUNK, CHUNK_BYTES = 65_536, 256e6
"""Number of points prepared at a time, and bytes that the values of all instructions take there."""
DUAL = -1_000_000
"""Number of an artificial function: its component k is the value of the k-th entry of ``Measure.tests``."""

Recorded: TypeAlias = tuple[Jets, Pullback]


@dataclass(frozen=True)
class Prepared:
    """Quadrature points with all values there that training does not change.

    Attributes:
        x: normalised coordinates [n, d], dimensionless.
        w: weights [n]: quadrature weight times inverse expected number of draws.
        fixed: values in the integrands that depend on the points alone, [n] each.
        frame: data of the points for test functions; None without test functions.
        aligned: whether these are all points of whole cells (or facets), one after the other.
        chosen: drawn second derivatives of each point [n, k], see `Directions`; None for all.
    """

    x: Tensor
    w: Tensor
    fixed: tuple[Tensor, ...]
    frame: Frame | None
    aligned: bool
    chosen: Tensor | None = None

    def rows(self, rows: slice | Tensor, aligned: bool) -> Prepared:
        """Return some of the points."""
        frame = None if self.frame is None else self.frame.rows(rows)
        return Prepared(self.x[rows], self.w[rows], tuple(f[rows] for f in self.fixed), frame, aligned)

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """All tensors with one entry per point."""
        return self.x, self.w, *self.fixed, *(() if self.frame is None else self.frame.columns)

    @staticmethod
    def join(parts: Iterable[Prepared], size: int) -> Prepared:
        """Return consecutive parts, of ``size`` points in all, as one; only one part at a time is in memory besides it."""
        columns: list[Tensor] = []
        at = 0
        for part in parts:
            if len(part.w) == size:
                return part
            columns = columns or [column.new_empty(size, *column.shape[1:]) for column in part.columns]
            for whole, column in zip(columns, part.columns, strict=True):
                whole[at : at + len(column)] = column
            at += len(part.w)
        x, w, *rest = columns
        fixed, placed = tuple(rest[: len(part.fixed)]), rest[len(part.fixed) :]
        return Prepared(x, w, fixed, Frame.of_columns(placed) if placed else None, True)


@dataclass(frozen=True)
class Measure:
    """The integrands over one measure.

    The workers of the placement share the points: `batch`, `thinned` and `whole` return those of this worker alone, so that sums
    over them must be added up over all workers.

    Attributes:
        points: quadrature points as a data set.
        region: kind of region that the points cover.
        network: network of the trial space.
        tape: compiled integrands. Outputs: the density of the functional, one coefficient for each of ``tests``, and the roots R
            of the squares ½R² in the density.
        slopes: compiled derivatives. Outputs: the density, and the derivatives of density + Σ coefficient · test by ``keys``.
            Inputs include the values of the tests as ``Jet(DUAL, k)``.
        tests: values and derivatives of test functions that occur in the residual.
        contraction: turns coefficients into residuals; None if ``tests`` is empty.
        background: domain and known functions.
        placement: device, precision and threads of the computation.
        directions: second derivatives of equations in many dimensions, and how many of them batches draw; None elsewhere.
    """

    points: PointSet
    region: type[Region]
    network: Network
    tape: Tape
    slopes: Tape
    tests: tuple[Jet, ...]
    contraction: Contraction | None
    background: Background
    placement: Placement
    directions: Directions | None = None

    @cached_property
    def derivatives(self) -> tuple[tuple[int, ...], ...]:
        """Derivatives of the network that occur in the integrands."""
        return tuple(sorted({slot.derivative for slot in self.tape.moving_slots if isinstance(slot, Jet)}))

    @cached_property
    def keys(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Component and derivative of every input of the tape that changes in training."""
        return tuple(slot.key for slot in self.tape.moving_slots if isinstance(slot, Jet | Parameter))

    @cached_property
    def dual_tests(self) -> tuple[int, ...]:
        """Numbers of the ``tests`` whose coefficients depend on the network."""
        return tuple(slot.component for slot in self.slopes.moving_slots if isinstance(slot, Jet) and slot.function == DUAL)

    @property
    def own(self) -> slice:
        """This worker's run of the points: whole cells or facets, unless there are fewer of them than workers."""
        points, group = self.points, self.placement.group
        return group.share(points.size, points.per_entity if points.entities >= group.size else 1)

    def compute(self, index: NDArray[np.int64] | range, fresh: int | Keys | None = None) -> Prepared:
        """Prepare points without using stored ones: compute on the host in float64, then move to the device.

        Args:
            index: numbers of the points [n].
            fresh: seed or keys that make random points anew; None for those of the data set.
        """
        points, put = self.points.take(index, fresh), self.placement.put
        values = self.tape.fixed(self.background.values(self.tape.fixed_slots, points))
        n = len(points.w)
        fixed = tuple(put(v if isinstance(v, Tensor) else np.full(n, v)) for v in values)
        x = put(self.network.normalise(torch.tensor(points.x, device=HOST)))
        frame = None if self.contraction is None else self.contraction.frame(points)
        aligned = isinstance(index, range) and len(index) % self.points.per_entity == 0
        return Prepared(x, put(points.w.copy()), fixed, frame, aligned)

    @cached_property
    def everything(self) -> Prepared | None:
        """All points, prepared; None if they would take more than ``CACHE_BYTES``."""
        d = self.network.dimension
        columns = d + 1 + len(self.tape.fixed.outputs) + (0 if self.contraction is None else self.contraction.columns)
        if self.points.size * columns * 8 > CACHE_BYTES:
            return None
        together = int(CHUNK_BYTES / (8 * max(1, len(self.tape.fixed.instructions))))
        return Prepared.join(map(self.compute, self.points.chunks(max(1, min(CHUNK, together)))), self.points.size)

    def batch(
        self, index: NDArray[np.int64], scale: NDArray[np.float64], generator: np.random.Generator | None = None
    ) -> Prepared:
        """Prepare this worker's share of drawn points; every worker is given all of them.

        Args:
            index: numbers of the drawn points [b]; repetitions are allowed.
            scale: inverse of the expected number of draws of each [b], which makes sums over the batch unbiased.
            generator: with it, random points are made anew, so that sums are unbiased for the integrals, and second derivatives
                are drawn; None for the points of the data set, for which sums are unbiased for the sum over all of them.
        """
        share = self.placement.group.share(len(index))
        if generator is not None and self.points.random:
            taken = self.compute(index[share], draw_keys(index, int(generator.integers(2**63)))[share])
        else:
            index = index[share]
            everything = self.everything
            taken = self.compute(index) if everything is None else everything.rows(self.placement.put(index), False)
        chosen = None
        if generator is not None and self.directions is not None and self.directions.count < self.directions.most:
            chosen = self.placement.put(self.directions.draw(len(scale), generator)[share])
        return replace(taken, w=taken.w * self.placement.put(scale[share]), aligned=False, chosen=chosen)

    def thinned(self, chunk: int, stride: int) -> Iterator[Prepared]:
        """Yield this worker's share of every ``stride``-th point with ``stride`` times its weight, ``chunk`` points at a time."""
        step = chunk * stride
        for start in range(0, self.points.size, step):
            index = np.arange(start, min(start + step, self.points.size), stride)
            yield self.batch(index, np.full(len(index), float(stride)))

    def whole(self, chunk: int) -> Iterator[Prepared]:
        """Yield this worker's share of all points, at most ``chunk`` points at a time."""
        everything, own = self.everything, self.own
        for numbers in self.points.chunks(chunk):
            part = range(own.start + numbers.start, min(own.start + numbers.stop, own.stop))
            if not part:
                break
            if everything is None:
                yield self.compute(part)
            elif len(part) == self.points.size:
                yield everything
            else:
                yield everything.rows(slice(part.start, part.stop), len(part) % self.points.per_entity == 0)

    def integrands(self, theta: Tensor, batch: Prepared) -> tuple[Value, Sequence[Value]]:
        """Return the density and the coefficients of the test functions, each [n] or a number.

        Args:
            theta: parameters [size].
            batch: n points.
        """
        if self.directions is not None:
            return self.directions.density(theta, batch.x, batch.fixed), ()
        jets = self.network.jets(theta, batch.x, self.derivatives) if self.keys else {}
        return self.evaluate(batch, jets)

    def record(self, theta: Tensor, batch: Prepared) -> Recorded:
        """Return the values and derivatives of the network at points, and their pullback."""
        return self.network.record(theta, batch.x, self.derivatives) if self.keys else ({}, lambda _: torch.zeros_like(theta))

    def evaluate(self, batch: Prepared, jets: Jets) -> tuple[Value, Sequence[Value]]:
        """Return density and coefficients as ``integrands`` does, for known values and derivatives of the network."""
        density, *rest = self.tape.moving([*batch.fixed, *(jets[key] for key in self.keys)])
        return density, rest[: len(self.tests)]

    def gradient(self, theta: Tensor, batch: Prepared) -> tuple[Tensor, Tensor]:
        """Return ∫ density and its gradient [size] at parameters [size], from drawn second derivatives where there are any."""
        if self.directions is None:
            return self.pull_back(batch, self.record(theta, batch))
        return self.directions.gradient(theta, batch.x, batch.w, batch.fixed, batch.chosen)

    def pull_back(
        self, batch: Prepared, recorded: Recorded, dual: Tensor | None = None, share: float = 1.0, less: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return ∫ density, and the gradient [size] of ∫ density + Σ coefficient · test tested with ``dual``.

        Args:
            batch: n points.
            recorded: result of ``record`` there.
            dual: coefficients of a finite element function [outputs, space.size], with which the residual is tested; None for 0.
            share: factor of the gradient.
            less: values subtracted from those of ``dual`` at the points [tests, n]; None for 0.
        """
        jets, pullback = recorded
        duals: dict[int, Tensor] = {}
        if dual is not None and self.contraction is not None and batch.frame is not None:
            wanted = [self.tests[k] for k in self.dual_tests]
            duals = dict(zip(self.dual_tests, self.contraction.at_points(wanted, dual, batch.frame, batch.aligned), strict=True))
            if less is not None:
                duals = {k: jet - less[k] for k, jet in duals.items()}
        slots = [slot for slot in self.slopes.moving_slots if isinstance(slot, Jet | Parameter)]
        inputs = [duals[s.component] if isinstance(s, Jet) and s.function == DUAL else jets[s.key] for s in slots]
        density, *slopes = self.slopes.moving([*batch.fixed, *inputs])
        w = batch.w if share == 1.0 else batch.w * share
        cotangents = {key: w * slope for key, slope in zip(self.keys, slopes, strict=True) if isinstance(slope, Tensor) or slope}
        return integral(batch.w, density), pullback(cotangents)


def integral(w: Tensor, values: Value) -> Tensor:
    """Return Σ w·values as a scalar tensor, for values [n] or one number for all points."""
    if isinstance(values, Tensor):
        return torch.dot(w, values)
    return w.sum() * values if values else w.new_zeros(())
