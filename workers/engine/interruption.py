"""Ends work that is stuck in a system call when its lease is lost or it is cancelled.

Work asks ``Pulse.stopping`` between chunks, which a stalled download never gets to. A while after
the pulse says stop, the main thread is therefore sent a signal whose handler raises. Only for work
that may be cut anywhere, as a layer build may: its effects are idempotent pushes.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.errors import Cancelled
from workers.engine.pulse import Pulse

#: Seconds that work gets to notice by itself.
GRACE = 1.5


@contextmanager
def interruptible(pulse: Pulse) -> Iterator[None]:
    """Raise ``Cancelled`` inside the block, ``GRACE`` seconds after ``pulse`` says stop.

    Outside the main thread, where signals cannot be handled, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    target = threading.main_thread().ident
    assert target is not None
    done = threading.Event()

    def watch() -> None:
        if pulse.wait_stopping(done) and not done.wait(GRACE):
            signal.pthread_kill(target, signal.SIGUSR2)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not done.is_set():
            raise Cancelled("the work was cut off")

    before = signal.signal(signal.SIGUSR2, interrupt)
    watcher = threading.Thread(target=watch, name="interruption", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGUSR2, before)
