"""What is known of a run: typed where it is found out, and written as JSON in one place, `Metrics`.

A strategy gives an `Account` of what it did, the assessment adds the `Accuracy` of the solution, the run its `Cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

Errors = Mapping[str, Mapping[str, Any]]
"""Unknown → relative_l2, relative_h1, …, dimensionless."""


@dataclass(frozen=True)
class Imposition:
    """How a condition is imposed on one component.

    Attributes:
        on: boundary tags.
        unknown: name of the unknown.
        component: number of the component, from 0.
        how: "exact", "penalty", "nitsche", …
        why: the reason in words.
    """

    on: list[str]
    unknown: str | None
    component: int
    how: str
    why: str


@dataclass(frozen=True)
class Account:
    """What a strategy did.

    Attributes:
        method: name of the method.
        method_reason: why it was taken, in words.
        steps: number of steps or stages.
        stopped: why the last one was the last.
        parameters: number of parameters.
        quadrature_points: number of points of all integrals.
        test_functions: number of test functions, None without a test space.
        batch_size: points per step, or "full".
        rollbacks: number of rollbacks.
        policy: what became of batches, warm-up and clipping, see ``policy_found``.
        imposed: how conditions are imposed.
        inferred: coefficients found.
        more: entries of this strategy alone, by name.
    """

    method: str
    method_reason: str
    steps: int
    stopped: str
    parameters: int
    quadrature_points: int
    test_functions: int | None = None
    batch_size: int | str = "full"
    rollbacks: int = 0
    policy: Mapping[str, Any] = field(default_factory=dict)
    imposed: Sequence[Imposition] = ()
    inferred: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accuracy:
    """How accurate a solution is.

    Attributes:
        errors: distance from the exact solution, from reference values or from finite elements; {} without any.
        error_estimate: "relative_energy", "relative_l2", "effectivity", …; None where there is no estimate.
        checks: checks that fail, one line each.
        energy: energy of the problem file, None of other forms.
        quadrature: objective on the points of training and on independent ones, None where nothing was trained.
        tests: dual norm of the residual on the test space of training and on a richer one, None without.
        more: entries of some solutions alone, by name.
    """

    errors: Errors
    error_estimate: Mapping[str, Any] | None
    checks: Sequence[str]
    energy: float | None = None
    quadrature: Mapping[str, Any] | None = None
    tests: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> Accuracy:
        """Return the accuracy that entries state; those that it has no attribute for are ``more``."""
        own = {one.name for one in fields(cls)} & entries.keys()
        return cls(**{name: entries[name] for name in own}, more={k: v for k, v in entries.items() if k not in own})


@dataclass(frozen=True)
class Seconds:
    """Where the time of a run went, in seconds."""

    total: float
    setup: float
    solve: float
    assessment: float


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        loss: final loss in units of the file's functional, None where nothing was minimised.
        seconds: where its time went.
        peak_memory_mb: largest memory of the process in MB.
        threads: threads that shared the work.
        device: device of training steps.
        workers: processes that shared the quadrature points.
    """

    loss: float | None
    seconds: Seconds
    peak_memory_mb: float
    threads: int
    device: str
    workers: int = 1


@dataclass(frozen=True, eq=False)
class Metrics(Mapping[str, Any]):
    """All that is known of a run, which is read as the content of metrics.json.

    Attributes:
        account: what was done; None of a solution that no strategy found.
        accuracy: how good it is; None before the assessment.
        cost: what it took; None before the end.
    """

    account: Account | None = None
    accuracy: Accuracy | None = None
    cost: Cost | None = None

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Metrics:
        """Return metrics to which something is to be added: those of a run, or none.

        Raises:
            TypeError: they are entries of a file, to which nothing can be added.
        """
        if not isinstance(metrics, cls) and metrics:
            raise TypeError("entries of metrics.json are complete; give metrics that a strategy found")
        return metrics if isinstance(metrics, cls) else cls()

    def judged(self, checks: Iterable[str] = (), more: Mapping[str, Any] | None = None, **changes: Any) -> Metrics:
        """Return the metrics with further failed checks and other changes of the accuracy, which has been assessed."""
        known = self.accuracy
        assert known is not None
        accuracy = replace(known, checks=[*known.checks, *checks], more={**known.more, **(more or {})}, **changes)
        return replace(self, accuracy=accuracy)

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """The entries of metrics.json, JSON-compatible."""
        found: dict[str, Any] = {}
        for part in (self.account, self.accuracy, self.cost):
            entries = {} if part is None else asdict(part)
            found |= entries.pop("more", {}) | entries
        return found

    def __getitem__(self, name: str) -> Any:
        """Return an entry."""
        return self.as_json[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of entries."""
        return iter(self.as_json)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.as_json)
