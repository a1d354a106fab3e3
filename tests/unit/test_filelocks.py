from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from app.filelocks import StillHeld, held


def _hold(file: Path, taken: Event) -> None:
    with held(file):
        taken.set()
        signal.pause()


def test_one_thread_at_a_time_and_the_file_stays_private(tmp_path: Path) -> None:
    file, inside, most = tmp_path / "lock", [0], [0]

    def work() -> None:
        for _ in range(50):
            with held(file, wait=60):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wait", [0, 0.05])
def test_a_wait_ends(tmp_path: Path, wait: float) -> None:
    with held(tmp_path / "lock"):
        with pytest.raises(StillHeld), held(tmp_path / "lock", wait=wait):
            pass
        with held(tmp_path / "other", wait=0):
            pass
    with held(tmp_path / "lock", wait=0):
        pass


def test_an_error_of_the_block_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), held(tmp_path / "lock"):
        _ = 1 / 0
    with held(tmp_path / "lock", wait=0):
        pass


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    taken = spawning.Event()
    holder = spawning.Process(target=_hold, args=(tmp_path / "lock", taken))
    holder.start()
    try:
        assert taken.wait(60)
        with pytest.raises(StillHeld), held(tmp_path / "lock", wait=0):
            pass
    finally:
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    with held(tmp_path / "lock", wait=0):
        pass
