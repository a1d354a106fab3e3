"""Tells which functions of ours a Python process enters, when ``tests.support.entering`` asks.

On ``PYTHONPATH`` of a process, and so of all its children and threads. The first entry of each
function in a generation is a line ``nanoseconds pid module function``; a test starts a generation
by writing another byte into the file that is mapped here.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Any

_folder = os.environ.get("ENTERED", "")


def _install(folder: str) -> None:
    with open(os.path.join(folder, "generation"), "r+b") as file:
        generation = mmap.mmap(file.fileno(), 1)
    log = os.open(os.path.join(folder, "entered"), os.O_WRONLY | os.O_APPEND)
    seen: set[tuple[int, CodeType]] = set()

    def entered(frame: FrameType, event: str, argument: Any) -> None:
        now, code = generation[0], frame.f_code
        if event != "call" or not now or (now, code) in seen:
            return
        seen.add((now, code))
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(("app.", "workers.")):
            line = f"{time.monotonic_ns()} {os.getpid()} {module} {code.co_qualname}\n"
            os.write(log, line.encode())

    threading.setprofile(entered)
    sys.setprofile(entered)


if _folder:
    _install(_folder)
