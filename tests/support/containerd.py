"""A containerd of its own for a test: EROFS snapshotter, layer content cache, transfer service.

Needs root, runc, and what ``.ci/get-containerd`` builds.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.support.tools import ROOT, missing, require

Differ = Literal["walking", "erofs"]

_CONFIG = """\
version = 4
root = '{root}/root'
state = '{root}/run'
disabled_plugins = ['io.containerd.internal.v1.tracing']

[plugins.'io.containerd.server.v1.grpc']
  address = '{root}/c.sock'
[plugins.'io.containerd.server.v1.ttrpc']
  address = '{root}/t.sock'
[plugins.'io.containerd.snapshotter.v1.erofs']
  layer_content_caches = ['{cache}']
[plugins.'io.containerd.differ.v1.erofs']
  enable_tar_index = {tar_index}
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
  platform = 'linux/amd64'
  snapshotter = 'erofs'
  differ = '{differ}'
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
  platform = 'linux/amd64'
  snapshotter = 'overlayfs'
  differ = 'walking'
"""


@dataclass(frozen=True, slots=True)
class Containerd:
    """A daemon that answers."""

    root: Path
    cache: Path
    environ: dict[str, str]

    @property
    def snapshotter(self) -> Path:
        """Directory of the EROFS snapshotter."""
        return self.root / "root" / "io.containerd.snapshotter.v1.erofs"

    def ctr(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``ctr``; the caller looks at its status."""
        return subprocess.run(
            [require("ctr"), "--address", str(self.root / "c.sock"), *arguments],
            capture_output=True, text=True, check=False, timeout=timeout, env=self.environ,
        )  # fmt: skip

    def pull(self, reference: str, snapshotter: str = "erofs") -> None:
        """Pull through the transfer service, from a registry without TLS."""
        done = self.ctr("image", "pull", "--plain-http", "--snapshotter", snapshotter, reference)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.log[-4000:]}"

    def run(
        self,
        reference: str,
        *command: str,
        snapshotter: str = "erofs",
        options: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a container and remove it; the caller looks at the status."""
        name = f"t{secrets.token_hex(6)}"
        return self.ctr(
            "run", "--rm", "--snapshotter", snapshotter, *options, reference, name, *command
        )

    def output(self, reference: str, *command: str, snapshotter: str = "erofs") -> str:
        """Return what a command prints inside; it must succeed."""
        done = self.run(reference, *command, snapshotter=snapshotter)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.log[-4000:]}"
        return done.stdout

    @property
    def log(self) -> str:
        """What the daemon wrote."""
        return (self.root / "log").read_text(errors="replace")


@contextmanager
def containerd(
    cache: Path, *, differ: Differ = "walking", tar_index: bool = False, tools: Path | None = None
) -> Iterator[Containerd]:
    """Run a daemon that looks for layers in ``cache``; ``tools`` is put first on its PATH."""
    if os.geteuid() != 0:
        missing("containerd needs root")
    daemon = require("containerd", ".ci/get-containerd")
    require("runc")
    root = Path(tempfile.mkdtemp(prefix="ctd-", dir="/tmp"))  # socket paths must be short
    path = [str(ROOT / ".cache" / "go-bin"), os.environ["PATH"]]
    if tools is not None:
        path.insert(0, str(tools))
    environ = {**os.environ, "PATH": ":".join(path)}
    config = root / "config.toml"
    config.write_text(
        _CONFIG.format(
            root=root, cache=cache, differ=differ, tar_index="true" if tar_index else "false"
        )
    )
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [daemon, "--config", str(config)], stdout=log, stderr=log, env=environ
        )
    running = Containerd(root, cache, environ)
    try:
        _wait(running, process)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _unmount(root)
        shutil.rmtree(root, ignore_errors=True)


def _wait(daemon: Containerd, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if daemon.ctr("version").returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"containerd did not start: {daemon.log[-4000:]}")


def _unmount(root: Path) -> None:
    """Take away what a container that was killed left mounted, innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines if line.split()[4].startswith(f"{root}/")]
    for point in sorted(points, reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
