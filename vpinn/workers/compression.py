"""Compressed gradients: what workers send instead of their part of ∇J, and how much noise that adds.

Worker k compresses v_k = g_k + e_k, its part of the gradient and what it has not sent so far, and keeps e_k ← v_k − C(v_k) for
the next step (error feedback: Karimireddy et al. 2019, arXiv 1901.09847). Over many steps, all of ∇J is therefore sent. One
message changes the sum by Σ(C(v_k) − v_k). Each compressor has its variance in closed form, which a run compares with the
measured one.

The sum of compressed parts is the same on all workers, up to the last bit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vpinn.workers.group import Group

Kept: TypeAlias = dict[str, Tensor]
"""Named tensors that later messages depend on; "left" is what this worker has not sent so far [size]."""
Block: TypeAlias = tuple[int, int, int]
"""A matrix in a vector of parameters: number of its first entry, its rows and its columns."""

RANK = 2
"""Rank of the matrices that low-rank compression sends (Vogels et al. 2019, arXiv 1905.13727, use 1 to 4)."""
LEVELS = 127
"""Largest whole number in a message of rounded entries, which take one byte each."""
HALF_BITS, HALF_LEAST = 10, -24
"""Bits of the mantissa of numbers in half precision, and binary logarithm of the smallest distance between two of them."""
HALF_LARGEST = 2.0**15
"""Size up to which the sum of all workers is scaled, by a power of two; the largest number in half precision is 65,504."""


@dataclass(frozen=True)
class Compressor(ABC):
    """A way to send parts of a gradient.

    Attributes:
        name: name in problem files.
        backends: backends of torch.distributed that can send it.
    """

    name: ClassVar[str]
    backends: ClassVar[tuple[str, ...]] = ("gloo", "nccl", "mpi")

    def initial(self, theta: Tensor) -> Kept:
        """Return what is kept before the first message."""
        return {"left": torch.zeros_like(theta)}

    def exchanged(self, group: Group, part: Tensor, kept: Kept, key: int) -> tuple[Tensor, Kept]:
        """Return the sum of the compressed parts of all workers [size], and what is kept for the next message.

        Args:
            group: the workers.
            part: this worker's part of the gradient [size].
            kept: what was kept from the last message.
            key: seed of random numbers ≥ 0, the same on all workers and another one for every message.
        """
        wanted = part + kept["left"]
        total, sent, more = self.send(group, wanted, kept, key)
        return total, {**more, "left": wanted - sent}

    @abstractmethod
    def send(self, group: Group, wanted: Tensor, kept: Kept, key: int) -> tuple[Tensor, Tensor, Kept]:
        """Return Σ C(v_k) and this worker's C(v_k) [size], for its v_k, and what else is kept."""

    @abstractmethod
    def size(self, theta: Tensor) -> int:
        """Return the bytes that a worker sends per step, for parameters θ."""

    @abstractmethod
    def added(self, group: Group, wanted: Tensor) -> float:
        """Return E‖Σ(C(v_k) − v_k)‖² in closed form, for this worker's v_k [size]."""


@dataclass(frozen=True)
class HalfPrecision(Compressor):
    """Numbers in half precision, scaled to its range. Rounded to the nearest of distance Δ, they have the variance Δ²/12."""

    name = "half"
    backends = ("gloo", "nccl")

    def send(self, group: Group, wanted: Tensor, kept: Kept, key: int) -> tuple[Tensor, Tensor, Kept]:
        """Return the sum, which the backend computes in half precision, and this worker's rounded numbers."""
        scale = self._scale(group, wanted)
        message = (wanted * scale).to(torch.float16)
        (total,) = group.sum(message)
        return total.to(wanted) / scale, message.to(wanted) / scale, {}

    def size(self, theta: Tensor) -> int:
        """Return two bytes per number, and eight for the scale."""
        return 2 * len(theta) + 8

    def added(self, group: Group, wanted: Tensor) -> float:
        """Return Σ Δ²/12 over the entries of all workers."""
        scale = self._scale(group, wanted)
        exponent = torch.frexp((wanted * scale).abs())[1].to(torch.float64) - 1.0 - HALF_BITS
        own = torch.where(wanted == 0, 0.0, (2.0 * exponent.clamp(min=HALF_LEAST)).exp2()).sum() / 12.0 / scale**2
        return float(group.sum(own.reshape(1))[0])

    def _scale(self, group: Group, wanted: Tensor) -> float:
        largest = group.largest([float(wanted.abs().max())])[0]
        if not 0.0 < largest < math.inf:
            return 1.0
        return 2.0 ** math.floor(math.log2(HALF_LARGEST) - math.log2(largest * group.size))


@dataclass(frozen=True)
class RoundedEntries(Compressor):
    """Entries rounded at random, without bias, to whole multiples of Δ = max|v|/``LEVELS``, one byte each.

    An entry at the fraction f between two multiples has the variance f(1 − f)Δ² (QSGD: Alistarh et al. 2017, arXiv 1610.02132).
    """

    name = "rounded"

    def send(self, group: Group, wanted: Tensor, kept: Kept, key: int) -> tuple[Tensor, Tensor, Kept]:
        """Return the sum of the whole numbers of all workers, each times its Δ, and this worker's."""
        step = self._step(wanted)
        draws = torch.from_numpy(np.random.default_rng((key, group.rank)).random(len(wanted))).to(wanted)
        whole = (wanted / step + draws).floor().clamp(-LEVELS, LEVELS)
        steps = group.joined(wanted.new_full((1,), step))
        messages = group.joined(whole.to(torch.int8)[None]).to(wanted)
        return steps @ messages, step * whole, {}

    def size(self, theta: Tensor) -> int:
        """Return one byte per number, and those of Δ."""
        return len(theta) + theta.element_size()

    def added(self, group: Group, wanted: Tensor) -> float:
        """Return Σ f(1 − f)Δ² over the entries of all workers."""
        step = self._step(wanted)
        fraction = torch.remainder(wanted / step, 1.0)
        return float(group.sum((fraction * (1.0 - fraction)).sum().reshape(1) * step**2)[0])

    @staticmethod
    def _step(wanted: Tensor) -> float:
        return float(wanted.abs().max()) / LEVELS or 1.0


@dataclass(frozen=True)
class RandomEntries(Compressor):
    """A share of the entries, drawn anew for every message, the same on all workers, so that no entry's number need be sent.

    What is left out is (1 − p)‖Σ v_k‖² on average (Stich, Cordonnier & Jaggi 2018, arXiv 1809.07599, random sparsification).

    Attributes:
        keep: share of the entries p that is sent, 0 < p ≤ 1.
    """

    keep: float
    name = "sparse"

    def send(self, group: Group, wanted: Tensor, kept: Kept, key: int) -> tuple[Tensor, Tensor, Kept]:
        """Return the sum of the drawn entries, and this worker's."""
        chosen = np.random.default_rng(key).choice(len(wanted), self._count(wanted), replace=False, shuffle=False)
        index = torch.from_numpy(chosen).to(wanted.device)
        (found,) = group.sum(wanted[index])
        total, sent = torch.zeros_like(wanted), torch.zeros_like(wanted)
        total[index], sent[index] = found, wanted[index]
        return total, sent, {}

    def size(self, theta: Tensor) -> int:
        """Return the bytes of the drawn entries."""
        return self._count(theta) * theta.element_size()

    def added(self, group: Group, wanted: Tensor) -> float:
        """Return (1 − p)‖Σ v_k‖²."""
        (total,) = group.sum(wanted)
        return (1.0 - self._count(wanted) / len(wanted)) * float(total @ total)

    def _count(self, theta: Tensor) -> int:
        return max(1, round(self.keep * len(theta)))


@dataclass(frozen=True)
class LowRank(Compressor):
    """PowerSGD (Vogels, Karimireddy & Jaggi 2019, arXiv 1905.13727): every weight matrix M = Σ M_k is sent as P(PᵀM), rank 2.

    P is an orthonormal basis of the columns of MQ, with Q from the last message, so that messages follow a power iteration. What
    is left out is at least the sum of the squares of the other singular values of M. Biases are sent as they are.

    Attributes:
        blocks: weight matrices in the vector of parameters.
    """

    blocks: tuple[Block, ...]
    name = "low-rank"

    def initial(self, theta: Tensor) -> Kept:
        """Return matrices Q with orthonormal random columns, the same on all workers."""
        draw = np.random.default_rng(0)
        bases = {
            f"basis.{k}": torch.linalg.qr(torch.from_numpy(draw.standard_normal((columns, RANK))).to(theta))[0]
            for k, (_, rows, columns) in enumerate(self.blocks)
            if _pays(rows, columns)
        }
        return super().initial(theta) | bases

    def send(self, group: Group, wanted: Tensor, kept: Kept, key: int) -> tuple[Tensor, Tensor, Kept]:
        """Return the sum of the matrices of low rank, and this worker's share of it."""
        found = [(k, block) for k, block in enumerate(self.blocks) if f"basis.{k}" in kept]
        matrices = [_matrix(wanted, block) for _, block in found]
        bases = [kept[f"basis.{k}"] for k, _ in found]
        images = group.sum(*(m @ q for m, q in zip(matrices, bases, strict=True))) if found else ()
        lefts = [torch.linalg.qr(image)[0] for image in images]
        own = [m.T @ p for m, p in zip(matrices, lefts, strict=True)]
        rest = wanted.clone()
        for _, block in found:
            _matrix(rest, block).zero_()
        plain, *rights = group.sum(rest[self._plain(wanted, kept)], *own)
        total, sent = torch.zeros_like(wanted), rest
        total[self._plain(wanted, kept)] = plain
        for (_, block), p, right, mine in zip(found, lefts, rights, own, strict=True):
            _matrix(total, block).copy_(p @ right.T)
            _matrix(sent, block).copy_(p @ mine.T)
        return total, sent, {f"basis.{k}": right for (k, _), right in zip(found, rights, strict=True)}

    def size(self, theta: Tensor) -> int:
        """Return the bytes of both factors of every matrix, and of all other entries."""
        paying = [(rows, columns) for _, rows, columns in self.blocks if _pays(rows, columns)]
        numbers = len(theta) + sum(RANK * (rows + columns) - rows * columns for rows, columns in paying)
        return numbers * theta.element_size()

    def added(self, group: Group, wanted: Tensor) -> float:
        """Return the sum of the squares of all singular values of M but the largest ``RANK``."""
        (total,) = group.sum(wanted)
        paying = [block for block in self.blocks if _pays(*block[1:])]
        return float(sum(float(torch.linalg.svdvals(_matrix(total, block))[RANK:].square().sum()) for block in paying))

    def _plain(self, theta: Tensor, kept: Kept) -> Tensor:
        """Return the numbers of the entries that belong to no matrix that is sent by its factors."""
        plain = np.ones(len(theta), dtype=bool)
        for k, (first, rows, columns) in enumerate(self.blocks):
            plain[first : first + rows * columns] = f"basis.{k}" not in kept
        return torch.from_numpy(np.flatnonzero(plain)).to(theta.device)


def _matrix(theta: Tensor, block: Block) -> Tensor:
    """Return a view of a matrix in a vector."""
    first, rows, columns = block
    return theta[first : first + rows * columns].view(rows, columns)


def _pays(rows: int, columns: int) -> bool:
    """Return whether the factors of a matrix have fewer entries than the matrix."""
    return RANK * (rows + columns) < rows * columns


def compressor_of(name: str, keep: float, blocks: Sequence[Block]) -> Compressor | None:
    """Return the compressor of a name in a problem file; None for "none"."""
    made: dict[str, Compressor | None] = {
        "none": None,
        HalfPrecision.name: HalfPrecision(),
        RoundedEntries.name: RoundedEntries(),
        RandomEntries.name: RandomEntries(keep),
        LowRank.name: LowRank(tuple(blocks)),
    }
    return made[name]


def compensating_batch(variance: float, batch: float, added: float) -> float:
    """Return the batch with which compressed gradients have the variance of uncompressed ones; inf if there is none.

    Args:
        variance: tr Σ/b of gradients that are not compressed, > 0.
        batch: points b > 0 of all workers together.
        added: variance that compression adds, ≥ 0, assumed to be independent of the batch.
    """
    return batch * variance / (variance - added) if variance > added else math.inf
