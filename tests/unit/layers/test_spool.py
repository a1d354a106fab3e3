import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.errors import SpoolExhausted
from workers.layers.spool import Spool

MIB = 1 << 20


def test_files_are_read_anywhere_and_deleted_at_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10 * MIB)
    with spool.reserve(MIB) as lease:
        file = lease.create("leaves")
        assert [file.append(b"abc"), file.append(memoryview(b"defg"))] == [0, 3]
        assert file.read_at(2, 3) == b"cde"
        assert file.read_at(6, 100) == b"g"
        assert spool.reserved() == MIB
    assert spool.reserved() == 0
    assert list(tmp_path.glob("spool/build-*")) == []
    lease.close()


def test_reservations_share_a_quota(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, 10 * MIB), Spool(tmp_path, 10 * MIB)
    with first.reserve(6 * MIB):
        with pytest.raises(SpoolExhausted) as caught:
            second.reserve(5 * MIB)
        assert caught.value.retryable
        assert caught.value.details == {"needed": 5 * MIB, "available": 4 * MIB}
        second.reserve(4 * MIB).close()
    second.reserve(10 * MIB).close()
    with pytest.raises(SpoolExhausted):
        second.reserve(10 * MIB + 1)


def test_a_reservation_grows_with_what_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100 * MIB)
    with spool.reserve(10) as lease, spool.reserve(30 * MIB):
        file = lease.create("leaves")
        file.append(bytes(MIB))
        assert spool.reserved() == lease.size + 30 * MIB
        with pytest.raises(SpoolExhausted):
            lease.grow(71 * MIB)
        lease.grow(70 * MIB)
        with pytest.raises(SpoolExhausted):
            lease.use(70 * MIB)


def test_a_full_disk_is_refused_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=100 * MIB, used=0, free=50 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    spool = Spool(tmp_path, 1 << 40)
    with spool.reserve(30 * MIB), pytest.raises(SpoolExhausted, match="free"):
        # The first reservation is not written yet, but will be.
        spool.reserve(30 * MIB)


CRASHER = """
import sys, time
from pathlib import Path
from workers.layers.spool import Spool
lease = Spool(Path(sys.argv[1]), 1 << 30).reserve(1 << 20)
lease.create("leaves").append(bytes(1000))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_no_orphan(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 30)
    (tmp_path / "other").write_text("not ours")
    process = subprocess.Popen(
        [sys.executable, "-c", CRASHER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert spool.reserved() == 1 << 20
        assert len(list(tmp_path.glob("build-*"))) == 1
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    deadline = time.monotonic() + 10
    while spool.reserved() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert spool.reserved() == 0
    assert list(tmp_path.glob("build-*")) == []
    assert (tmp_path / "other").exists()


def test_a_write_that_fails_is_exhaustion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: object, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with Spool(tmp_path, 1 << 30).reserve(MIB) as lease:
        file = lease.create("leaves")
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(SpoolExhausted, match="No space left"):
            file.append(b"x")
