"""What is left when a fetch is killed or its transfers break, and that the next one heals it."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.support.faultproxy import fault_proxy
from tests.support.node_images import PushedImage, convert_image, push_image, runnable_layers
from tests.support.node_stand import NodeStand

pytestmark = [pytest.mark.real]


def converted(stand: NodeStand) -> PushedImage:
    image = push_image(stand.registry, "team/app", runnable_layers())
    convert_image(stand.registry, image, stand.folder / "spool", signer=stand.signer)
    return image


def through(stand: NodeStand, image: PushedImage, host: str) -> list[str]:
    """Arguments of a fetch of the image by way of another host."""
    arguments = stand.fetch_arguments(f"{host}/{image.repository}:1")
    arguments[arguments.index("--plain-http") + 1] = host
    return arguments


def test_a_killed_fetch_leaves_no_entry_and_what_was_finished_stays(stand: NodeStand) -> None:
    image = converted(stand)
    staging = stand.cache / ".verilayer" / "staging"
    with fault_proxy(stand.server.host) as proxy:
        host = proxy.url.partition("://")[2]
        proxy.arm("stall-midway", f"GET .*{image.layers[0].digest}")
        process = subprocess.Popen(
            stand.node_command(*through(stand, image, host)), stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not (proxy.hits and len(list(stand.cache.glob("sha256/??/*.erofs"))) == 2):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert any(staging.glob("*/blob")), "the kill came in the middle"
    report = stand.fetch(image.reference)
    assert sorted(layer["action"] for layer in report["layers"]) == ["filled", "present", "present"]
    assert not any(staging.iterdir())
    assert len(list(stand.cache.glob("sha256/??/*.erofs"))) == 3


@pytest.mark.parametrize("fault", ["reset-midway", "503"])
def test_a_broken_transfer_is_taken_up_again(stand: NodeStand, fault: str) -> None:
    image = converted(stand)
    with fault_proxy(stand.server.host) as proxy:
        proxy.arm(fault, f"GET .*{image.layers[0].digest}")
        done = stand.node(*through(stand, image, proxy.url.partition("://")[2]))
        assert proxy.hits == 1
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(stand.cache.glob("sha256/??/*.erofs"))) == 3


def test_content_that_is_not_what_was_asked_for_never_becomes_an_entry(stand: NodeStand) -> None:
    image = converted(stand)
    with fault_proxy(stand.server.host) as proxy:
        proxy.arm("wrong-content", f"GET .*{image.layers[2].digest}", times=99)
        done = stand.node(*through(stand, image, proxy.url.partition("://")[2]))
        assert proxy.hits
    assert done.returncode == 1
    wrong = image.diff_ids[2].hex
    found = {path.stem for path in stand.cache.glob("sha256/??/*.erofs")}
    assert found == {each.hex for each in image.diff_ids} - {wrong}
    assert not any((stand.cache / ".verilayer" / "staging").iterdir())
