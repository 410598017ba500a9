"""The state of a run: what training changes, and what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vpinn.features.direct import Direct
from vpinn.optimization.clipping import Clipping
from vpinn.optimization.method import Method, State
from vpinn.optimization.settled import RuleLook, Settled
from vpinn.optimization.watch import WATCHED, Watch
from vpinn.placement import HOST, host
from vpinn.sampling import State as Learned

STEPPED = ("step", "seconds", "loss", "gradient_norm", "learning_rate", "batch_size", "clipped")
MEASURES = 100
"""Integrals of one objective at most."""
COLUMNS = (*STEPPED, "error", "estimate", "residual", *WATCHED)
"""Columns of the history; "residual" is that of a stage of least squares, relative to that without features."""


@dataclass
class Training:
    """The state of a run: the only object that training changes.

    Attributes:
        theta: parameters [size].
        state: of the method.
        generator: of the samplers.
        learned: what each adaptive sampler knows.
        watch: averages that noise is told from.
        clipping: what an automatic threshold is taken from.
        rule: the last look at a finer rule of quadrature, None before the first.
        settled: what the run settled itself, None before the first step.
        step: steps taken.
        seconds: spent so far, over all sessions.
        average: moving average of the loss.
        best: parameters with the lowest loss (its moving average with mini-batches), and that loss.
        anchor: parameters, state and step that a rollback returns to.
        origin: parameters at the start, and J with its size there, nan before the first step.
        astray: steps in a row whose loss was far too high.
        shrink: factor of the step size from rollbacks.
        rollbacks: how many there were.
        idle: steps in a row that left the parameters as they were.
        history: one row of ``COLUMNS`` per step.
        stopped: why the run ended, "" while it has not.
        ahead: seconds that a stage which has begun is expected to take, None between stages and where there are none.
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
    history: list[tuple[float, ...]] = field(default_factory=list)
    stopped: str = ""
    ahead: float | None = None

    @classmethod
    def start(cls, theta: Tensor, method: Method | Direct, seed: int) -> Training:
        """Return the state before the first step."""
        state = method.initial(theta) if isinstance(method, Method) else {}
        begun = (theta, math.nan, math.nan)
        return cls(theta, state, np.random.default_rng(seed), best=(theta, math.inf), anchor=(theta, state), origin=begun)

    def remembered(self) -> Callable[[], None]:
        """Return a function that puts the state back as it is now, to the last bit, whatever a step has changed by then."""
        values, drawn, steps = dict(vars(self)), self.generator.bit_generator.state, len(self.history)
        watch = replace(self.watch, kept=list(self.watch.kept))

        def put_back() -> None:
            vars(self).update({**values, "watch": watch})
            self.generator.bit_generator.state = drawn
            del self.history[steps:]

        return put_back

    def arrays(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Return everything as arrays and JSON-compatible values, for a checkpoint."""
        arrays = {"theta": self.theta, "best": self.best[0], "anchor": self.anchor[0], "origin": self.origin[0]}
        arrays |= {f"state.{k}": v for k, v in self.state.items()} | {f"anchor.{k}": v for k, v in self.anchor[1].items()}
        arrays |= {f"watch.{k}": v for k, v in self.watch.state().items()}
        arrays |= {f"clipping.{k}": v for k, v in self.clipping.arrays().items()}
        arrays |= {f"rule.{k}": v for k, v in (self.rule.arrays() if self.rule else {}).items()}
        known = {f"learned.{k}.{name}": array for k, state in enumerate(self.learned) for name, array in state.items()}
        history = np.array(self.history, dtype=np.float64).reshape(-1, len(COLUMNS))
        numbers = {"step": self.step, "seconds": self.seconds, "average": self.average, "best_loss": self.best[1]}
        numbers |= {"shrink": self.shrink, "rollbacks": self.rollbacks, "idle": self.idle, "astray": self.astray}
        numbers |= {"first": self.origin[1], "size": self.origin[2]}
        generator = self.generator.bit_generator.state
        meta = {"numbers": numbers, "generator": generator, "stopped": self.stopped, "learned": len(self.learned)}
        meta["settled"] = self.settled.numbers() if self.settled else {}
        meta["placed"] = [name for name, tensor in arrays.items() if tensor.device != HOST]
        return {name: host(tensor) for name, tensor in arrays.items()} | known | {"history": history}, meta

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any], device: torch.device = HOST
    ) -> Training:
        """Return the state that ``arrays`` described, equal to the last bit, on the device where steps work."""
        others, placed = ("history", "learned."), meta.get("placed", ())
        tensors = {
            name: torch.from_numpy(np.array(array)).to(device if name in placed else HOST)
            for name, array in arrays.items()
            if not name.startswith(others)
        }
        states = {
            prefix: {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            for prefix in ("state.", "anchor.", "watch.", "clipping.", "rule.")
        }
        generator = np.random.default_rng()
        generator.bit_generator.state = meta["generator"]
        numbers = meta["numbers"]
        if not 0 <= meta["learned"] <= MEASURES:
            raise ValueError(f"{meta['learned']} measures")
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
            history=[tuple(row) for row in arrays["history"].tolist()],
        )
