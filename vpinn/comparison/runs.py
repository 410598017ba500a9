"""All runs of a comparison, one at a time and interleaved, each in a process of its own."""

from __future__ import annotations

import math
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

from vpinn.comparison.course import Course, measured_course
from vpinn.comparison.variants import Variant
from vpinn.errors import InputError, VpinnError
from vpinn.interrupt import Interrupt
from vpinn.placement import Placement
from vpinn.process import processor_seconds, safe_path

POLL = 0.1
"""Seconds between looks at a run."""
GRACE = 60.0
"""Processor seconds beyond its budget that a run may be silent: a single step on too many points would never end."""

Place = tuple[int, int]
"""Number of a variant, and a seed."""


@dataclass(frozen=True)
class Moment:
    """Where a comparison is.

    Attributes:
        done: runs finished.
        total: runs altogether.
        label: of the variant that runs.
        seed: of its run.
        seconds: of training so far.
        budget: seconds that it has, None where its steps decide.
        error: last measured, nan before.
    """

    done: int
    total: int
    label: str
    seed: int
    seconds: float
    budget: float | None
    error: float


def order(variants: int, seeds: Iterable[int]) -> Iterator[Place]:
    """Yield variant and seed of every run.

    Each seed goes through all variants before the next, every time from another variant on: a machine that slows down or
    is busy for a while slows all of them, not the last.
    """
    for turn, seed in enumerate(seeds):
        for k in range(variants):
            yield (turn + k) % variants, seed


def run_all(  # noqa: PLR0913 (what runs, and whom it tells)
    variants: list[Variant],
    seeds: list[int],
    seconds: float | None,
    placement: Placement,
    done: Mapping[Place, Course],
    keep: Callable[[Place, Course], None],
    report: Callable[[Moment], None],
    interrupt: Interrupt,
) -> None:
    """Run what is not done yet, until it is or a signal arrives; a run that a signal stops is forgotten.

    Args:
        variants: the first of them, with the first seed, sets the budget where there is none: what its steps take.
        seeds: of every variant.
        seconds: of training that every run has, None to be set.
        placement: of every run.
        done: runs of an earlier session.
        keep: told every finished run.
        report: told where the comparison is.
        interrupt: signals received.

    Raises:
        InputError: a run found the problem unsolvable as stated, or the first run gives no budget.
    """
    places = list(order(len(variants), seeds))
    finished = {place: done[place] for place in places if place in done}
    if seconds is None and places[0] in finished:
        seconds = _budget(variants[0].label, finished[places[0]])
    context = _context()
    for place in places:
        if place in finished:
            continue
        number, seed = place
        label = variants[number].label

        def tell(at: float, error: float, label: str = label, seed: int = seed, budget: float | None = seconds) -> None:
            report(Moment(len(finished), len(places), label, seed, at, budget, error))

        tell(0.0, float("nan"))
        course = _one(context, variants[number], seed, seconds, placement, tell, interrupt)
        if course is None:
            return
        finished[place] = course
        keep(place, course)
        if seconds is None:
            seconds = _budget(label, course)


def _budget(label: str, course: Course) -> float:
    """Return the seconds that the first run took for its steps."""
    if course.stopped == "diverged" or not course.seconds:
        raise InputError(f"the first run, {label}, has no end to go by ({course.stopped}); start anew with --seconds")
    return course.seconds[-1]


def _context() -> BaseContext:
    """Return how processes are made: forked from one that has the libraries loaded and no memory of ours, where there is such.

    That one is started deaf to SIGINT and SIGHUP, which a terminal sends to all of us; what they end is ours to decide.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vpinn.comparison.course"])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        with safe_path():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _one(
    context: BaseContext,
    variant: Variant,
    seed: int,
    seconds: float | None,
    placement: Placement,
    tell: Callable[[float, float], None],
    interrupt: Interrupt,
) -> Course | None:
    """Return the course of one run, None where a signal ended it."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, variant, seed, seconds, placement), daemon=True)  # type: ignore[attr-defined]
    with safe_path():
        process.start()
    sender.close()
    assert process.pid is not None
    heard = math.nan  # processor time of the run when it last told of a step
    try:
        while interrupt.signal is None:
            if not receiver.poll(POLL):
                if seconds is not None and processor_seconds(process.pid) - heard > (seconds + GRACE) * placement.threads:
                    return Course.of([], "no step within the seconds", *[math.nan] * 5)
                continue
            heard = processor_seconds(process.pid)
            try:
                found = receiver.recv()
            except EOFError:
                process.join()
                if interrupt.signal is not None:  # it went to all of us
                    return None
                return Course.of([], f"killed, exit code {process.exitcode}", *[math.nan] * 5)
            if isinstance(found, Course):
                return found
            if isinstance(found, VpinnError):
                raise type(found)(f"{variant.label}, seed {seed}: {found}")
            if isinstance(found, str):
                raise RuntimeError(f"{variant.label}, seed {seed}: {found}")
            tell(*found)
        return None
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _child(sender: Connection, variant: Variant, seed: int, seconds: float | None, placement: Placement) -> None:
    """Send how a run goes, and its course or what was wrong; the parent decides what a signal ends."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        sender.send(measured_course(variant.problem(seed), placement, seconds, lambda at, _, error: sender.send((at, error))))
    except VpinnError as error:
        sender.send(error)
    except BrokenPipeError:  # the parent is gone
        return
    except Exception:
        sender.send(traceback.format_exc())
    sender.close()
