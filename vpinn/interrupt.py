"""Handling of signals (SIGINT, SIGTERM, SIGHUP) and time limits, so that a stopped run leaves its files in a usable state.

What a signal does depends on the section of code that it arrives in:

| section | effect of a signal |
|---|---|
| ``with interrupt.abandons():`` for computations that can be dropped without harm | raises ``Stopped`` at once |
| anything else inside ``with Interrupt() as interrupt:`` | is stored in ``interrupt.signal``, which loops check |
| ``with undisturbed():`` for the replacement of a file | takes effect at the end of the section |

Python runs signal handlers only between its own instructions, so a call into a compiled library delays them until it returns.
Calls that can take seconds are made through `apart`, which waits for them in an interruptible way. Python ignores exceptions in
some places, for example in callbacks of imports: a signal is handled again after a second, until its section ends.
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
REMINDER = 1.0
"""Seconds after which a signal is handled once more in a section that it should have ended."""


class Stopped(BaseException):
    """A signal or a time limit ended a section of ``Interrupt.abandons``. Derived from BaseException, as KeyboardInterrupt is.

    Args:
        number: Number of the signal.
        message: What the run has saved, and how to continue from there.
    """

    def __init__(self, number: int, message: str) -> None:
        self.number = number
        super().__init__(message)

    @property
    def exit_code(self) -> int:
        """Exit code of the process: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number


class Interrupt:
    """A context manager that catches signals and remembers them; after the first one, SIGINT raises KeyboardInterrupt.

    Python allows signal handlers in the main thread only; in other threads this context manager has no effect.

    Args:
        told: called with the number of a signal when it comes; it must not raise.

    Attributes:
        signal: Number of the last signal received, None if there was none.
        late: Whether the time limit of ``limited`` is over.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    LATE = getattr(signal, "SIGALRM", 0)
    _undisturbed = 0
    _waiting: Interrupt | None = None

    def __init__(self, told: Callable[[int], None] = lambda number: None) -> None:
        self._told = told
        self.signal: int | None = None
        self.late = False
        self._before: dict[int, object] = {}
        self._message: str | None = None  # of Stopped; None outside of ``abandons``
        self._reminded = False

    def __enter__(self) -> Interrupt:
        """Set the signal handlers; SIGHUP remains ignored if it is ignored already, as under nohup."""
        if threading.current_thread() is threading.main_thread():
            ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            heard = [number for number in self.SIGNALS if not (ignored and number == signal.SIGHUP)]
            self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Restore the signal handlers that were set before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def abandons(self, message: str = "stopped by a signal") -> Iterator[None]:
        """Mark a section of code that a signal may end at any point, since it leaves nothing half done.

        Args:
            message: Message of the exception: what the run has saved, and how to continue from there.

        Raises:
            Stopped: A signal arrived in the section or before it.
        """
        outer = self._message
        try:
            self._message = message
            self._stop()
            yield
            self._stop()  # a destructor or library callback may have suppressed the exception of the handler
        finally:
            self._message = outer

    @contextlib.contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """Set a time limit for a section of code; after it, ``late`` is true, and sections of ``abandons`` raise ``Stopped``.

        If the system has no interval timers, or outside the main thread, a running section is not interrupted: ``late`` alone
        tells that the time is over.

        Args:
            seconds: Time limit > 0 in seconds; None for no limit.
        """
        if seconds is None:
            try:
                yield
            finally:
                self.late = False
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
        if self._reminded:
            self._reminded = False
        elif self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        elif number == self.LATE:
            self.late = True
        else:
            self.signal = number
            self._told(number)
        if Interrupt._undisturbed:
            Interrupt._waiting = self
        else:
            self._stop()

    def _stop(self) -> None:
        number = self.LATE if self.late and self.signal is None else self.signal
        if number is not None and self._message is not None:
            if number in self._before:
                reminder = threading.Timer(REMINDER, self._remind, (number,))
                reminder.daemon = True
                reminder.start()
            raise Stopped(number, self._message)

    def _remind(self, number: int) -> None:
        """Handle a signal again if its section goes on: Python drops what is raised in callbacks of imports, and in __del__."""
        if self._message is not None and signal.getsignal(number) == self._receive:
            self._reminded = True
            os.kill(os.getpid(), number)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Mark a section of code that a signal must not interrupt, such as replacing a file; signals take effect at its end."""
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
    """Make a long call into a compiled library in a separate thread, so that signals need not wait for it; return its result.

    The library has to release Python's global interpreter lock. After a signal, the thread keeps running until the process ends.
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
    """End the process with an exit code.

    After a signal it ends at once, without Python's clean-up: a thread started by `apart` may still be computing, and unloading
    its library would crash the process, or take seconds.
    """
    if code in (128 + number for number in Interrupt.SIGNALS):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
