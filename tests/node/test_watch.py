"""``node watch`` as a process: follows a file, tells metrics, stops when told."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.node_images import convert_image, push_image, runnable_layers
from tests.support.node_stand import NodeStand
from tests.support.ports import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_references_that_appear_in_the_file_are_fetched(stand: NodeStand) -> None:
    first = push_image(stand.registry, "team/app", runnable_layers())
    convert_image(stand.registry, first, stand.folder / "spool", signer=stand.signer)
    wanted = stand.folder / "references"
    wanted.write_text(f"# of this node\n{first.reference}\nnot a reference\n")
    port = free_port()
    command = [
        *stand.node_command("watch"), *stand.fetch_arguments(first.reference)[2:-1],
        "--references", str(wanted), "--refresh", "1", "--metrics-port", str(port),
    ]  # fmt: skip
    log = (stand.folder / "watch.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)

    def metrics() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        except httpx.TransportError:
            return ""

    try:
        wait_for(lambda: len(list(stand.cache.glob("sha256/??/*.erofs"))) == 3, "no first image")
        second = push_image(stand.registry, "team/second", runnable_layers(5))
        with wanted.open("a") as out:
            out.write(f"{second.reference}\n")
        # It has no bundle yet: refused, and tried again until it has.
        wait_for(lambda: 'images_total{outcome="refused"}' in metrics(), "not refused")
        convert_image(stand.registry, second, stand.folder / "spool", signer=stand.signer)
        wait_for(lambda: len(list(stand.cache.glob("sha256/??/*.erofs"))) == 5, "no second image")
        wait_for(lambda: "verilayer_node_cache_entries 5.0" in metrics(), metrics())
        text = metrics()
        assert 'verilayer_node_images_total{outcome="invalid"}' in text
        assert 'verilayer_node_layers_total{action="filled"} 5.0' in text
        assert "verilayer_node_wanted_references 3.0" in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        log.close()
