"""Execution of all runs of a comparison, one after the other, each in its own process. Start from `run_all`."""

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
"""Seconds between checks for signals and messages while a run is in progress."""
GRACE = 60.0
"""Processor seconds per thread, in addition to its training time, after which a run without a message is ended.

A single step on too many points would otherwise never end.
"""

Place = tuple[int, int]
"""What identifies a run: number of its variant, and seed."""


@dataclass(frozen=True)
class Moment:
    """The progress of a comparison.

    Attributes:
        done: Number of finished runs.
        total: Number of all runs.
        label: Name of the variant of the current run.
        seed: Seed of the current run.
        seconds: Training time of the current run so far, in s.
        budget: Training time that the current run has, in s; None if it ends after its steps.
        error: Last measured error, nan before the first measurement.
    """

    done: int
    total: int
    label: str
    seed: int
    seconds: float
    budget: float | None
    error: float


def order(variants: int, seeds: Iterable[int]) -> Iterator[Place]:
    """Yield (number of variant, seed) of all runs in the order in which they are done.

    All variants are run with one seed before the next seed, and each seed begins with another variant. If the machine slows down
    or is busy for a while, that affects all variants alike instead of the last one.
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
    """Do all runs that are not done yet, until a signal arrives; a run that a signal interrupts is discarded.

    Args:
        variants: The variants to run.
        seeds: Seeds that every variant is run with.
        seconds: Training time of every run in s; None for the time that the first run needs for its steps.
        placement: Device, precision and threads of every run.
        done: Runs that are finished already.
        keep: Function that is called with every finished run.
        report: Function that is called with the progress from time to time.
        interrupt: Signals received.

    Raises:
        InputError: A variant cannot be solved as its settings say, or the first run has no time to take as the budget.
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
    """Return the seconds that the first run needed for its steps, which all other runs get.

    Raises:
        InputError: The run diverged or has no measurement.
    """
    if course.stopped == "diverged" or not course.seconds:
        raise InputError(f"the first run, {label}, gives the others no time ({course.stopped}); give --seconds and --overwrite")
    return course.seconds[-1]


def _context() -> BaseContext:
    """Return the context in which processes are made: a fork server if the system has one, otherwise spawned processes.

    A fork server has the libraries loaded but none of this process's data. It is started with SIGINT and SIGHUP blocked: a
    terminal sends them to all processes, but only the parent decides what they end.
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
    """Start one run in a process, pass on its progress, and return its course; None if a signal ended it.

    A run whose process is killed, or sends no message for too long, has a course without measurements.
    """
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, variant, seed, seconds, placement), daemon=True)  # type: ignore[attr-defined]
    with safe_path():
        process.start()
    sender.close()
    assert process.pid is not None
    heard = math.nan  # processor time of the run at its last message
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
                if interrupt.signal is not None:  # the signal went to the run's process, too
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
    """Do one run in a child process; send its progress, and then its course or the error. SIGINT and SIGHUP are ignored."""
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
