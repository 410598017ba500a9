"""Steps on compressed gradients: what every worker keeps from message to message, and how much noise the messages add.

The state is a dictionary of tensors, ``Training.sent``: what the compressor keeps, with "left" of this worker alone; and "noise",
the number of messages measured, with the sums of their predicted and of their measured variance. A checkpoint has "all", the
entries "left" of all workers [K, size], so that a resumed run goes on to the last bit, or with another number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from vpinn.errors import InputError
from vpinn.optimization.method import Closure
from vpinn.optimization.planned import Plan
from vpinn.optimization.training import Training
from vpinn.placement import HOST
from vpinn.problem.parallel import Parallel
from vpinn.workers import Block, Compressor, Group, Kept, compensating_batch, compressor_of

COMPRESSED = ("adam", "sgd")
"""Methods whose workers may send compressed gradients."""
LOOK_EVERY = 25
"""Steps between messages whose variance is measured, which takes a sum over all workers of its own."""


def exchanging(closure: Closure, training: Training, plan: Plan, group: Group) -> tuple[Closure, Callable[[], None]]:
    """Return a closure whose first gradient comes from compressed messages, and a function that keeps the state after the step.

    Args:
        closure: J and ∇J of the step.
        training: state before the step, whose number is the key of the messages, so that batches are drawn as without them.
        plan: plan of the run.
        group: the workers.
    """
    compressor = plan.compressor
    if compressor is None or group.size == 1:
        return closure, lambda: None
    before = _begun(compressor, training, group)
    after: list[Kept] = []

    def exchange(part: Tensor) -> Tensor:
        total, kept = compressor.exchanged(group, part, before, training.step)
        noise = before["noise"]
        if training.step % LOOK_EVERY == 0:
            (error,) = group.sum(kept["left"])
            seen = 1.0, compressor.added(group, part + before["left"]), float(error @ error)
            noise = noise + torch.tensor(seen, dtype=torch.float64, device=HOST)
        after.append({**kept, "noise": noise})
        return total

    def keep() -> None:
        if after:
            training.sent = after[0]

    return replace(closure, exchange=exchange), keep


def _begun(compressor: Compressor, training: Training, group: Group) -> Kept:
    """Return the state before a message: that of the last one, or of a checkpoint, or of none."""
    kept = training.sent or {**compressor.initial(training.theta), "noise": torch.zeros(3, dtype=torch.float64, device=HOST)}
    if "all" not in kept:
        return kept
    rows = kept["all"]
    left = rows[group.rank] if len(rows) == group.size else rows.sum(0) / group.size
    return {name: value for name, value in kept.items() if name != "all"} | {"left": left}


def gather_sent(training: Training, group: Group) -> None:
    """Add what all workers have not sent yet to the state, for a checkpoint."""
    if "left" in training.sent and group.size > 1:
        training.sent = {**training.sent, "all": group.joined(training.sent["left"][None])}


def compression_found(training: Training, plan: Plan, workers: int, batch: float) -> dict[str, Any] | None:
    """Return what messages of compressed gradients cost and added, None where there were none.

    Args:
        training: state at the end of the run.
        plan: its plan.
        workers: number of workers.
        batch: points of the last step, of all workers.

    Returns:
        "name"; "bytes" per step and worker, and those of a "plain" gradient; variance that a message adds as "predicted" and as
        "measured"; "sampling", the variance tr Σ/b of the batches (nan on all points), and "batch", the points that make up for
        what is added (nan where there is no sampling variance, infinite where none do).
    """
    compressor, watch = plan.compressor, training.watch
    if compressor is None or workers == 1 or "noise" not in training.sent:
        return None
    count, predicted, measured = training.sent["noise"].tolist()
    theta = training.theta
    sampling = max(watch.trace / watch.pairs / batch - measured / count, 0.0) if watch.pairs and count else float("nan")
    found = {"name": compressor.name, "bytes": compressor.size(theta), "plain": len(theta) * theta.element_size()}
    return {
        **found,
        "workers": workers,
        "predicted": predicted / max(count, 1.0),
        "measured": measured / max(count, 1.0),
        "sampling": sampling,
        "batch": compensating_batch(sampling, batch, measured / count) if sampling == sampling else float("nan"),
    }


def compressor_for(method: str, parallel: Parallel, layers: Sequence[int]) -> Compressor | None:
    """Return how workers send their parts of a gradient.

    Args:
        method: name of the method.
        parallel: settings.
        layers: widths of the network's layers, which give the weight matrices in the vector of parameters.

    Raises:
        InputError: the method does not step along gradients alone, so that noise would mislead it.
    """
    if parallel.compress != "none" and method not in COMPRESSED:
        raise InputError(
            f'parallel.compress = "{parallel.compress}" is for {" and ".join(COMPRESSED)}, whose steps average noise out, got '
            f'solver.method = "{method}"; leave it out'
        )
    first, blocks = 0, list[Block]()
    for columns, rows in pairwise(layers):
        blocks.append((first, rows, columns))
        first += rows * (columns + 1)
    return compressor_of(parallel.compress, parallel.keep, blocks)
