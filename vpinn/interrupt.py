"""SIGINT, SIGTERM, SIGHUP and limits of time: what can be abandoned ends at once, a change of state goes on to its end.

A run is in one of three kinds of sections:

| section | what a signal does |
|---|---|
| ``with interrupt.abandons():`` it computes, and leaves nothing half done | raises ``Stopped`` there and then |
| anything else between ``Interrupt``'s enter and exit | is noted in ``interrupt.signal`` |
| ``with undisturbed():`` a file is being replaced | waits for the end of the section |

Python runs handlers between two instructions, so one call of a compiled library delays them as long as it lasts. Those that can
last for seconds go through ``apart``, which waits for them in an interruptible way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import NoReturn, TypeVar

_Out = TypeVar("_Out")


class Stopped(BaseException):
    """A signal ended work that can be abandoned.

    Args:
        number: of the signal.
        message: what is left behind, and how to go on from there.
    """

    def __init__(self, number: int, message: str) -> None:
        self.number = number
        super().__init__(message)

    @property
    def exit_code(self) -> int:
        """What the process ends with: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number


class Interrupt:
    """Remembers the first signal; a second SIGINT acts at once, as it would without us.

    Used as a context manager; outside the main thread, where handlers cannot be set, it stays silent.

    Attributes:
        signal: number of the signal received, None so far.
        late: whether the time of ``limited`` is over.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    LATE = getattr(signal, "SIGALRM", 0)
    _undisturbed = 0
    _waiting: Interrupt | None = None

    def __init__(self) -> None:
        self.signal: int | None = None
        self.late = False
        self._before: dict[int, object] = {}
        self._message: str | None = None  # of work that is abandoned

    def __enter__(self) -> Interrupt:
        """Set the handlers; SIGHUP stays ignored where it is, as under nohup."""
        if threading.current_thread() is threading.main_thread():
            ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            heard = [number for number in self.SIGNALS if not (ignored and number == signal.SIGHUP)]
            self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Set the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def abandons(self, message: str = "stopped by a signal") -> Iterator[None]:
        """Enclose work that a signal ends at once: it computes, and what it changes is thrown away or written as a whole.

        Args:
            message: of the exception: what is left behind, and how to go on from there.

        Raises:
            Stopped: a signal arrived in it, or before it.
        """
        outer = self._message
        try:
            self._message = message
            self._stop()
            yield
            self._stop()  # a destructor or a callback of a library may have swallowed what the handler raised
        finally:
            self._message = outer

    @contextlib.contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """Enclose work with a limit of time: once it is over, ``late`` holds, and what ``abandons`` encloses ends by ``Stopped``.

        Where the system has no timers, or outside the main thread, only ``late`` tells, between two pieces of work.

        Args:
            seconds: > 0; None for no limit.
        """
        if seconds is None:
            yield
            return
        timed = self.LATE and threading.current_thread() is threading.main_thread() and bool(self._before)
        timer = threading.Timer(seconds, self._ring)
        before = signal.signal(self.LATE, self._receive) if timed else None
        if timed:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if timed:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
                signal.signal(self.LATE, before)
            self.late = False

    def _ring(self) -> None:
        self.late = True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == self.LATE:
            self.late = True
        else:
            self.signal = number
        if Interrupt._undisturbed:
            Interrupt._waiting = self
        else:
            self._stop()

    def _stop(self) -> None:
        number = self.LATE if self.late and self.signal is None else self.signal
        if number is not None and self._message is not None:
            raise Stopped(number, self._message)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Enclose the replacement of a file, which a signal must not leave half done: it acts at the end of the section."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    Interrupt._undisturbed += 1
    try:
        yield
    finally:
        Interrupt._undisturbed -= 1
        waiting = None if Interrupt._undisturbed else Interrupt._waiting
        if waiting is not None:
            Interrupt._waiting = None
            waiting._stop()


def apart(work: Callable[[], _Out]) -> _Out:
    """Return what a long call of a compiled library returns, made in a thread of its own so that signals do not wait for it.

    The library has to release Python's lock. After a signal the thread goes on by itself until the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[_Out] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def leave(code: int) -> NoReturn:
    """End the process with an exit code, after a signal at once.

    Libraries take seconds to unload, and do not survive it while a thread of ``apart`` still computes.
    """
    if code in (128 + number for number in Interrupt.SIGNALS):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
