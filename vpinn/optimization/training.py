"""The state of a run: everything that training changes and a checkpoint stores.

`Training` is the state; `Training.arrays` and `Training.from_arrays` convert it for checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.features.direct import Direct
from vpinn.optimization.clipping import Clipping
from vpinn.optimization.history import History
from vpinn.optimization.method import Method, State
from vpinn.optimization.settled import RuleLook, Settled
from vpinn.optimization.watch import WATCHED, Watch
from vpinn.placement import HOST, host
from vpinn.sampling import State as Learned
from vpinn.workers import Kept

STEPPED = ("step", "seconds", "loss", "gradient_norm", "learning_rate", "batch_size", "clipped")
"""Columns of the history that every step fills."""
MEASURES = 100
"""Most measures of one objective that a checkpoint may contain."""
COLUMNS = (*STEPPED, "error", "estimate", "residual", *WATCHED)
"""Columns of the history; "residual" is that of a stage of least squares, relative to the residual without features."""


def history_row(clipped: float = 0.0, **known: float) -> tuple[float, ...]:
    """Return a row of the history of a stage: what is known of it by the names of ``COLUMNS``, nan elsewhere.

    Args:
        clipped: 0 of a stage, which clips no gradient.
        **known: values of other columns.

    Raises:
        KeyError: a name is none of ``COLUMNS``.
    """
    row = dict.fromkeys(COLUMNS, math.nan) | {"clipped": clipped} | known
    if len(row) > len(COLUMNS):
        raise KeyError(f"the history has no columns {', '.join(known.keys() - set(COLUMNS))}")
    return tuple(row.values())


def history_of_rows(rows: np.ndarray[Any, Any] | None = None) -> History:
    """Return a history of ``COLUMNS``, with rows of a checkpoint where there are some [rows, columns]."""
    return History(len(COLUMNS), () if rows is None else rows, (COLUMNS.index("error"), COLUMNS.index("estimate")))


@dataclass
class Training:
    """State of a run, the only object that training changes.

    Attributes:
        theta: parameters [size].
        state: state of the method.
        generator: random numbers of the samplers.
        learned: state of each sampler; () before the first pilot.
        watch: moving averages from which the noise of the gradients is computed.
        clipping: record from which the automatic clipping threshold is computed.
        rule: last evaluation on a finer quadrature rule, None before the first.
        settled: quantities measured before the first step or set by the batch size, None before the first step.
        step: number of steps taken.
        seconds: seconds spent so far, over all sessions.
        average: moving average of the loss on mini-batches, nan on all points.
        best: parameters with the lowest loss (on mini-batches, of its moving average), and that loss.
        anchor: parameters and state of the method to which a rollback returns.
        origin: parameters at the start, and J with its scale there, nan before the first step.
        astray: number of consecutive steps whose loss was far too high.
        shrink: factor of the step size due to rollbacks, 0 to 1.
        rollbacks: number of rollbacks.
        idle: number of consecutive steps that left the parameters unchanged.
        sent: what this worker keeps from one compressed gradient to the next, see ``exchange``; {} where none is sent.
        history: one row of ``COLUMNS`` per step, of long runs one for several of the earlier steps.
        stopped: why the run ended, "" while it has not.
        ahead: expected seconds of the stage of a method without steps that is under way, else None.
    """

    theta: Tensor
    state: State
    generator: np.random.Generator
    learned: tuple[Learned, ...] = ()
    watch: Watch = field(default_factory=Watch)
    clipping: Clipping = field(default_factory=Clipping)
    rule: RuleLook | None = None
    settled: Settled | None = None
    step: int = 0
    seconds: float = 0.0
    average: float = math.nan
    best: tuple[Tensor, float] = field(default=(torch.empty(0, device=HOST), math.inf))
    anchor: tuple[Tensor, State] = field(default=(torch.empty(0, device=HOST), {}))
    origin: tuple[Tensor, float, float] = field(default=(torch.empty(0, device=HOST), math.nan, math.nan))
    astray: int = 0
    shrink: float = 1.0
    rollbacks: int = 0
    idle: int = 0
    sent: Kept = field(default_factory=dict)
    history: History = field(default_factory=history_of_rows)
    stopped: str = ""
    ahead: float | None = None

    @classmethod
    def start(cls, theta: Tensor, method: Method | Direct, seed: int) -> Training:
        """Return the state before the first step.

        Args:
            theta: parameters at the start [size].
            method: method that takes the steps.
            seed: seed of the samplers' random numbers.
        """
        state = method.initial(theta) if isinstance(method, Method) else {}
        begun = (theta, math.nan, math.nan)
        return cls(theta, state, np.random.default_rng(seed), best=(theta, math.inf), anchor=(theta, state), origin=begun)

    def remembered(self) -> Callable[[], None]:
        """Return a function that restores the present state exactly, whatever a step changes meanwhile.

        A long history is thinned out before.
        """
        self.history.thin()
        values = dict(vars(self))
        drawn = self.generator.bit_generator.state
        steps = len(self.history)
        watch = replace(self.watch, kept=list(self.watch.kept))

        def put_back() -> None:
            vars(self).update({**values, "watch": watch})
            self.generator.bit_generator.state = drawn
            self.history.shorten(steps)

        return put_back

    def check_size(self, size: int, kept: Sequence[str] = ()) -> None:
        """Check that all parameters, and those that the method keeps by these names, are of a network of this size.

        Raises:
            ValueError: they are not.
        """
        found = {"theta": self.theta, "best": self.best[0], "anchor": self.anchor[0], "origin": self.origin[0]}
        found |= {name: self.state[name] for name in kept}
        for name, tensor in found.items():
            if tensor.shape != (size,) or tensor.dtype != self.theta.dtype or not tensor.is_floating_point():
                raise ValueError(f"{name} {tuple(tensor.shape)} of {tensor.dtype} for a network of {size} weights")

    def arrays(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Return the state as arrays and JSON-compatible values, for a checkpoint."""
        arrays = {"theta": self.theta, "best": self.best[0], "anchor": self.anchor[0], "origin": self.origin[0]}
        arrays |= {f"state.{k}": v for k, v in self.state.items()} | {f"anchor.{k}": v for k, v in self.anchor[1].items()}
        arrays |= {f"watch.{k}": v for k, v in self.watch.state().items()}
        arrays |= {f"clipping.{k}": v for k, v in self.clipping.arrays().items()}
        arrays |= {f"sent.{k}": v for k, v in self.sent.items()}
        arrays |= {f"rule.{k}": v for k, v in (self.rule.arrays() if self.rule else {}).items()}
        known = {f"learned.{k}.{name}": array for k, state in enumerate(self.learned) for name, array in state.items()}
        numbers = {"step": self.step, "seconds": self.seconds, "average": self.average, "best_loss": self.best[1]}
        numbers |= {"shrink": self.shrink, "rollbacks": self.rollbacks, "idle": self.idle, "astray": self.astray}
        numbers |= {"first": self.origin[1], "size": self.origin[2]}
        generator = self.generator.bit_generator.state
        meta = {"numbers": numbers, "generator": generator, "stopped": self.stopped, "learned": len(self.learned)}
        meta["settled"] = self.settled.numbers() if self.settled else {}
        meta["placed"] = [name for name, tensor in arrays.items() if tensor.device != HOST]
        return {name: host(tensor) for name, tensor in arrays.items()} | known | {"history": self.history.table}, meta

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any], device: torch.device = HOST
    ) -> Training:
        """Return the state stored in ``arrays`` and ``meta``, equal to the last bit.

        Args:
            arrays: name → array, from ``arrays``.
            meta: JSON-compatible values, from ``arrays``.
            device: device on which the steps work.

        Raises:
            ValueError: a number is none, or the number of samplers' states is out of range.
        """
        others, placed = ("history", "learned."), meta.get("placed", ())
        tensors = {
            name: torch.from_numpy(np.array(array)).to(device if name in placed else HOST)
            for name, array in arrays.items()
            if not name.startswith(others)
        }
        states = {
            prefix: {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            for prefix in ("state.", "anchor.", "watch.", "clipping.", "rule.", "sent.")
        }
        generator = np.random.default_rng()
        generator.bit_generator.state = meta["generator"]
        numbers = meta["numbers"]
        for name, value in numbers.items():
            counted = name in ("step", "rollbacks", "idle", "astray")
            if type(value) not in ((int,) if counted else (int, float)) or (counted and value < 0):
                raise ValueError(f"{name} is {value!r}")
        if not 0 <= meta["learned"] <= MEASURES:
            raise ValueError(f"the checkpoint lists {meta['learned']} measures; 0 to {MEASURES} are possible")
        return cls(
            theta=tensors["theta"],
            state=states["state."],
            generator=generator,
            learned=tuple(
                {n.split(".", 2)[2]: a for n, a in arrays.items() if n.startswith(f"learned.{k}.")}
                for k in range(meta["learned"])
            ),
            watch=Watch.from_state(states["watch."]),
            clipping=Clipping(**states["clipping."]),
            rule=RuleLook.of(states["rule."]),
            settled=Settled.of(meta["settled"]),
            step=numbers["step"],
            seconds=numbers["seconds"],
            average=numbers["average"],
            best=(tensors["best"], numbers["best_loss"]),
            anchor=(tensors["anchor"], states["anchor."]),
            origin=(tensors["origin"], numbers["first"], numbers["size"]),
            astray=numbers["astray"],
            shrink=numbers["shrink"],
            rollbacks=numbers["rollbacks"],
            idle=numbers["idle"],
            sent=states["sent."],
            history=history_of_rows(arrays["history"]),
        )
