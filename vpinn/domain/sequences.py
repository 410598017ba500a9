"""Random and low-discrepancy sequences with random access: any point of a sequence can be computed without those before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vpinn.domain.reference import Floats, Integers
from vpinn.errors import InputError

_SOBOL_BITS = 30
_MAX_SOBOL_DIMENSION = 21201
Keys = NDArray[np.uint64]
_GOLDEN, _MIX, _MIX_AGAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class UniformSequence:
    """Independent uniform numbers: a SplitMix64 hash of (seed, index, coordinate), Steele, Lea & Flood 2014.

    Attributes:
        dimension: number of coordinates of a point.
        seed: any integer; different seeds give independent sequences.
    """

    dimension: int
    seed: int

    def at(self, index: Integers, keys: Keys | None = None) -> Floats:
        """Return points of [0, 1)^dimension for indices [b] >= 0, [b, dimension]; keys [b], if given, replace the seed."""
        columns = np.arange(self.dimension, dtype=np.uint64)
        counter: Keys = index.astype(np.uint64)[:, None] * np.uint64(max(self.dimension, 1)) + columns
        start = np.full(1, self.seed % 2**64, dtype=np.uint64) if keys is None else keys[:, None]
        bits = _mix(_mix(counter) ^ _mix(start))
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True, eq=False)
class SobolSequence:
    """The first points of one scrambled Sobol sequence (scipy's; Joe & Kuo 2008 with Matoušek's linear scramble).

    Attributes:
        shift: point 0 in units of 2⁻³⁰ [dimension].
        directions: scrambled direction numbers [bits, dimension].
    """

    shift: NDArray[np.uint64]
    directions: NDArray[np.uint64]

    @classmethod
    def scrambled(cls, dimension: int, count: int, seed: int) -> SobolSequence:
        """Return the sequence of the points 0 … count - 1, in the time of generating them once and without storing them.

        Point i is shift ⊕ ⨁_j g_j V_j, where g_j are the bits of the Gray code of i. The Gray code of 2^j has the bits j and j
        - 1, so that the points 1, 2, 4, … give the direction numbers V_j one after the other.

        Raises:
            InputError: more than 2³⁰ points, or too many dimensions.
        """
        from scipy.stats import qmc

        if not 1 <= count <= 2**_SOBOL_BITS or not 0 <= dimension <= _MAX_SOBOL_DIMENSION:
            raise InputError(f"a Sobol set has 1 to 2**{_SOBOL_BITS} points, got {count}: use rule 'monte-carlo' for more")
        shift = np.zeros(dimension, dtype=np.uint64)
        directions: list[NDArray[np.uint64]] = []
        if dimension:
            engine = qmc.Sobol(dimension, scramble=True, bits=_SOBOL_BITS, rng=np.random.default_rng(seed % 2**64))
            shift = _integers(engine.random(1))[0]
            position = 1
            while position < count:  # the engine stands at point `position`, a power of two
                power = _integers(engine.random(1))[0]
                directions.append(power ^ shift ^ (directions[-1] if directions else np.uint64(0)))
                engine.fast_forward(position - 1)
                position *= 2
        return cls(shift, np.array(directions, dtype=np.uint64).reshape(len(directions), dimension))

    def at(self, index: Integers, keys: Keys | None = None) -> Floats:
        """Return points of [0, 1)^dimension for indices [b], [b, dimension]; the first of the keys [b] gives another shift."""
        gray = index ^ (index >> 1)
        shift = self.shift
        if keys is not None:
            other = UniformSequence(len(shift), 0).at(np.zeros(1, np.int64), keys[:1])[0]
            shift = (other * 2.0**_SOBOL_BITS).astype(np.uint64)
        points = np.repeat(shift[None], len(index), axis=0)
        for bit, direction in enumerate(self.directions):
            points[(gray >> bit) & 1 == 1] ^= direction
        return points.astype(np.float64) * 2.0**-_SOBOL_BITS


def draw_keys(index: Integers, fresh: int) -> Keys:
    """Return a key for every drawn index [b], such that repetitions of an index get different keys.

    The k-th occurrence of any index gets the key ``fresh + k``.

    Args:
        index: drawn indices, with repetitions.
        fresh: first key, 0 to 2⁶⁴ − 1; random first keys give independent draws.
    """
    order = np.argsort(index, kind="stable")
    ahead = index[order]
    starts = np.flatnonzero(np.diff(ahead, prepend=-1))
    turn = np.empty(len(index), dtype=np.uint64)
    turn[order] = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
    return turn + np.uint64(fresh)


def keys_of(index: Integers, fresh: int | Keys | None) -> Keys | None:
    """Return the keys [b] of another realisation of random points from its seed or its keys; None for those of the set."""
    return fresh if fresh is None or isinstance(fresh, np.ndarray) else draw_keys(index, fresh)


@lru_cache
def _directions(dimension: int, bits: int) -> NDArray[np.uint64]:
    """Return the first direction numbers of the unscrambled Sobol sequence [bits, dimension], in the time of 2^bits points."""
    from scipy.stats import qmc

    engine = qmc.Sobol(dimension, scramble=False, bits=_SOBOL_BITS)
    numbers: list[NDArray[np.uint64]] = []
    engine.random(1)
    for bit in range(bits):
        power = _integers(engine.random(1))[0]
        numbers.append(power ^ (numbers[-1] if numbers else np.uint64(0)))
        engine.fast_forward(2**bit - 1)
    return np.array(numbers)


def sobol_points(dimension: int, count: int) -> Floats:
    """Return the first points of the unscrambled Sobol sequence [count, dimension]."""
    used = max(1, (count - 1).bit_length())
    return SobolSequence(np.zeros(dimension, np.uint64), _directions(dimension, used)).at(np.arange(count))


def interleaved_sobol(dimension: int, count: int, generator: np.random.Generator) -> Floats:
    """Return scrambled Sobol points as numbers in [0, 1) [count], with the bits of the coordinates interleaved.

    The first bit is that of the last coordinate, as in a Morton curve. Matoušek's scrambling (a random lower triangular matrix of
    bits, then a random shift) makes every number uniform.

    Args:
        dimension: number of coordinates, 1 to 3.
        count: number of points.
        generator: generator of the scrambling.
    """
    used = max(1, (count - 1).bit_length())
    plain = _directions(dimension, used)  # [used, dimension]
    places = np.arange(_SOBOL_BITS - 1, -1, -1, dtype=np.uint64)
    bits = (plain[..., None] >> places) & np.uint64(1)  # first bit first [used, dimension, bits]
    matrix = np.tril(generator.integers(2, size=(dimension, _SOBOL_BITS, _SOBOL_BITS)), -1) + np.eye(_SOBOL_BITS, dtype=np.int64)
    mixed = np.einsum("dij,ndj->ndi", matrix, bits.astype(np.int64)) % 2
    directions = (mixed.astype(np.uint64) << places).sum(axis=2, dtype=np.uint64)
    shift = generator.integers(2**_SOBOL_BITS, size=dimension).astype(np.uint64)
    points = SobolSequence(shift, directions).at(np.arange(count)) + 2.0**-_SOBOL_BITS * generator.random((count, dimension))
    if dimension == 1:
        return points[:, 0]
    kept = 52 // dimension
    grid = (points * 2.0**kept).astype(np.int64)
    half = -(-kept // 2)
    spread = _spread(dimension, half)
    parts = (spread[grid >> half] << half * dimension) | spread[grid & (2**half - 1)]  # [count, dimension]
    code = (parts << np.arange(dimension)).sum(axis=1)
    numbers: Floats = np.ldexp(code.astype(np.float64), -kept * dimension)
    return numbers


@lru_cache
def _spread(dimension: int, bits: int) -> Integers:
    """Return all numbers below 2^bits with dimension − 1 zeros inserted between their bits [2^bits]."""
    numbers = np.arange(2**bits)
    return sum((((numbers >> bit) & 1) << bit * dimension for bit in range(bits)), np.zeros_like(numbers))


def to_simplex(points: Floats) -> Floats:
    """Return uniform points of the reference simplex from those of [0, 1]^d [n, d]: differences of the sorted coordinates."""
    ordered = np.sort(points, axis=1)
    return np.diff(ordered, axis=1, prepend=0.0)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the output function of SplitMix64."""
    state = state * _GOLDEN + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MIX
    state = (state ^ (state >> np.uint64(27))) * _MIX_AGAIN
    return state ^ (state >> np.uint64(31))


def _integers(points: Floats) -> NDArray[np.uint64]:
    """Return Sobol points as integers in units of 2^-bits."""
    return np.round(points * 2.0**_SOBOL_BITS).astype(np.uint64)
