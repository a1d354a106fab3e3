"""From a push to a running container: registry, service, node, nothing called by hand."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.config.model import RegistryConfig
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.repository import Repository
from tests.support.containerd import containerd
from tests.support.node_images import push_image, runnable_layers
from tests.support.node_stand import run_node
from tests.support.tools import require
from workers.demo.attached import wait_for_bundle
from workers.demo.processes import Ports, registry, service
from workers.supervisor import first_start
from workers.supervisor.supervisor import Supervisor

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("containerd")]


def test_a_push_becomes_a_container_without_a_layer_download(tmp_path: Path) -> None:
    require("docker-registry")
    ports = Ports.free()
    secret = first_start.webhook_secret(tmp_path / "state").read_text()
    specs = [registry(tmp_path, ports, secret), service(tmp_path, ports, dict(os.environ))]
    supervisor = Supervisor(specs, threading.Event())
    config = RegistryConfig(
        id="local", url=f"http://127.0.0.1:{ports.registry}", allow_private_addresses=True
    )
    client = open_registry(config, LocalCoordination())
    cache = tmp_path / "cache"
    try:
        supervisor.start()
        image = push_image(client, "team/pushed", runnable_layers(9))
        pushed = Repository(client, "team/pushed")
        wait_for_bundle(pushed, image.manifest, 90, lambda: supervisor.all_running)
        (certificate,) = (tmp_path / "state").rglob("*.crt")
        done = run_node(
            "fetch", image.reference, "--cache", str(cache), "--trust", str(certificate),
            "--plain-http", client.host,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        with containerd(cache) as daemon:
            daemon.pull(image.reference)
            assert daemon.output(image.reference) == "hello from layer three, 9\n"
            content = daemon.ctr("content", "ls", "--quiet").stdout.split()
            assert image.manifest in content
            assert not set(content) & {layer.digest for layer in image.layers}
    finally:
        client.close()
        supervisor.stop()
