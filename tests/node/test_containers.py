"""Containers start from layers that ``node fetch`` put there, on containerd as it ships."""

from __future__ import annotations

import json

import pytest

from tests.support.containerd import containerd
from tests.support.node_images import convert_image, merged_files, push_image, runnable_layers
from tests.support.node_stand import NodeStand
from tests.support.reference import tool

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("containerd")]

#: Every regular file that is not on a mount of the container's own.
LIST = "find / -xdev -type f -exec sha256sum {} + | sort"


def listed(output: str) -> dict[str, str]:
    lines = (line.split("  ", 1) for line in output.splitlines())
    return {path: digest for digest, path in lines}


def test_a_warmed_cache_starts_a_container_without_a_layer_download(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/app", runnable_layers())
    convert_image(stand.registry, image, stand.folder / "spool", signer=stand.signer)
    report = stand.fetch(image.reference)
    assert [layer["action"] for layer in report["layers"]] == ["filled"] * 3
    assert all(layer["signer"] for layer in report["layers"])
    layers = {str(layer.digest) for layer in image.layers}
    assert layers <= stand.blobs_read()
    stand.forget()

    with containerd(stand.cache) as daemon:
        daemon.pull(image.reference)
        read = stand.blobs_read()
        assert len(read) == 1, "the image config, so the log is looked at"
        assert not read & layers
        assert daemon.output(image.reference) == "hello from layer three, 0\n"
        inside = listed(daemon.output(image.reference, "/bin/sh", "-c", LIST))
        assert inside == merged_files(image.tars)
        facts = daemon.output(
            image.reference, "/bin/stat", "-c", "%a %u:%g %Y %N",
            "/data/new", "/data/odd", "/data/link", "/bin/sh",
        )  # fmt: skip
        assert facts.splitlines() == [
            "644 1234:1234 1700000000 /data/new",
            "4711 0:0 1700000000 /data/odd",
            "777 0:0 1700000000 '/data/link' -> 'new'",
            "755 0:0 1700000000 /bin/sh",
        ]
        # A user by name is looked up in the image, which goes through another EROFS reader.
        user = daemon.run(image.reference, "/bin/id", "-u", options=("--user", "web"))
        assert user.stdout == "1234\n", user.stderr

        snapshotter = ("--snapshotter", str(daemon.snapshotter), "--json")
        status = json.loads(stand.node("status", "--cache", str(stand.cache), *snapshotter).stdout)
        assert [entry["in_use"] for entry in status["entries"]] == [True] * 3
        kept = stand.node("prune", "--cache", str(stand.cache), "--min-age", "0", *snapshotter)
        assert json.loads(kept.stdout)["removed"] == []
        assert daemon.output(image.reference) == "hello from layer three, 0\n"

        daemon.ctr("image", "rm", "--sync", image.reference)
        gone = stand.node("prune", "--cache", str(stand.cache), "--min-age", "0", *snapshotter)
        assert len(json.loads(gone.stdout)["removed"]) == 3, gone.stdout + gone.stderr
        assert not list(stand.cache.glob("sha256/*/*"))


def test_without_a_bundle_the_pull_works_as_before(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/plain", runnable_layers(1))
    refused = stand.node(*stand.fetch_arguments(image.reference))
    assert refused.returncode == 3
    report = stand.fetch(image.reference, "--policy", "prefer-signed")
    assert report["bundle"] is None
    assert report["layers"] == []
    stand.forget()
    with containerd(stand.cache, tools=tool("mkfs.erofs").parent) as daemon:
        daemon.pull(image.reference)
        assert {str(layer.digest) for layer in image.layers} <= stand.blobs_read()
        inside = listed(daemon.output(image.reference, "/bin/sh", "-c", LIST))
        assert inside == merged_files(image.tars)


def test_layers_cached_for_one_image_serve_another(stand: NodeStand) -> None:
    """The lower layers of the second image were fetched for the first; only its top is pulled."""
    first = push_image(stand.registry, "team/first", runnable_layers())
    convert_image(stand.registry, first, stand.folder / "spool", signer=stand.signer)
    stand.fetch(first.reference)
    layers = runnable_layers()
    layers[2].add("top", b"of the second image\n")
    second = push_image(stand.registry, "team/second", layers)
    stand.forget()
    with containerd(stand.cache, tools=tool("mkfs.erofs").parent) as daemon:
        daemon.pull(second.reference)
        downloaded = {str(layer.digest) for layer in second.layers} & stand.blobs_read()
        assert downloaded == {str(second.layers[2].digest)}
        assert daemon.output(second.reference, "/bin/cat", "/top") == "of the second image\n"


def test_an_unsigned_bundle_serves_where_the_policy_allows(stand: NodeStand) -> None:
    image = push_image(stand.registry, "team/unsigned", runnable_layers(2))
    convert_image(
        stand.registry, image, stand.folder / "spool", signer=None, profiles=("verilayer",)
    )
    assert stand.node(*stand.fetch_arguments(image.reference)).returncode == 3
    report = stand.fetch(image.reference, "--policy", "prefer-signed")
    assert [layer["signer"] for layer in report["layers"]] == [None] * 3
    stand.forget()
    with containerd(stand.cache) as daemon:
        daemon.pull(image.reference)
        assert not {str(layer.digest) for layer in image.layers} & stand.blobs_read()
        assert daemon.output(image.reference) == "hello from layer three, 2\n"
