"""The files for nodes: valid, and in step with the command line and with containerd."""

from __future__ import annotations

import subprocess
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from tests.support.tools import ROOT, require
from workers.cli.node import command

NODE = ROOT / "deploy" / "node"


def documents() -> dict[str, Any]:
    loaded = yaml.safe_load_all((NODE / "daemonset.yaml").read_text())
    found = {document["kind"]: document for document in loaded}
    assert {"DaemonSet", "ClusterRole"} <= set(found)
    return found


@pytest.mark.parametrize("version", ["1.31", "1.33"])
def test_the_manifest_is_valid(version: str) -> None:
    for document in documents().values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_daemon_set_runs_a_command_that_exists_and_may_do_little() -> None:
    spec = documents()["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"] == ["verilayer"]
    group, name, *arguments = container["args"]
    assert group == "node"
    watch = command.commands[name]
    context = watch.make_context("watch", list(arguments))  # a wrong option would raise
    assert context.params["kubernetes"] is True
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(context.params["cache"]) in mounts
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (rule,) = documents()["ClusterRole"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    assert isinstance(watch, click.Command)


@pytest.mark.real
def test_containerd_reads_the_snippet() -> None:
    done = subprocess.run(
        [
            require("containerd", ".ci/get-containerd"),
            *("--config", str(NODE / "containerd.toml"), "config", "dump"),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    cache = documents()["DaemonSet"]["spec"]["template"]["spec"]["volumes"][0]["hostPath"]["path"]
    assert f"layer_content_caches = ['{cache}']" in done.stdout
    assert "snapshotter = 'erofs'" in done.stdout
    assert "snapshotter = 'overlayfs'" in done.stdout
