"""Copying to other places and moving between profiles, on real registries and layouts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.catalog.profiles import PROFILES, ProfileName
from app.registry.protocols import Registry
from tests.support.certificates import identity, rsa_key
from tests.support.published import Image, attach, convert, pem_signer, push_image
from tests.support.registries import RunningRegistry, docker_registry
from workers.artifacts.signed import SignedLayer
from workers.cli.commands import main
from workers.images.publication import Placement

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Shop:
    """A fresh repository of one image with its converted layers."""

    server: RunningRegistry
    registry: Registry
    image: Image
    layers: list[SignedLayer]
    ca: Path
    folder: Path

    @property
    def reference(self) -> str:
        return f"{self.server.host}/team/app:v1"

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    def verify(self, reference: str, *profiles: str) -> Result:
        wanted = [f"--profile={name}" for name in profiles]
        return self.run("verify", reference, "--ca", str(self.ca), "--deep", *wanted)

    def types(self) -> list[str]:
        listed = self.registry.list_referrers("team/app", self.image.manifest.digest)
        return sorted(str(each.artifact_type) for each in listed)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with docker_registry(tmp_path_factory.mktemp("moving")) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with docker_registry(tmp_path) as server:
        registry = server.open()
        image = push_image(registry, seeds=1)
        who = identity()
        layers = convert(registry, image, tmp_path, pem_signer(tmp_path / "keys", who))
        ca = tmp_path / "ca.pem"
        ca.write_bytes(who.pem)
        yield Shop(server, registry, image, layers, ca, tmp_path)
        registry.close()


def test_a_copy_keeps_bundles_tags_and_layer_graphs(shop: Shop, server: RunningRegistry) -> None:
    placement = Placement(tag_suffixes={"containerd-erofs": "dmverity"})
    attach(shop.registry, shop.image, shop.layers, ["containerd-erofs", "notation"], placement)
    attach(shop.registry, shop.image, shop.layers, ["rfc-layer"])
    there = f"{server.host}/mirror/app:copied"
    layout = f"oci:{shop.folder / 'layout'}:v1"
    for source, destination in ((shop.reference, layout), (layout, there)):
        run = shop.run("copy", source, destination, "--json")
        assert run.exit_code == 0, run.output
        report = json.loads(run.stdout)
        assert len(report["referrers"]) == 2 + 3
        assert len(report["tags"]) == 1
        assert report["blobs_present"] + report["blobs_copied"] > 6
        checked = shop.verify(destination, "containerd-erofs", "notation", "rfc-layer")
        assert checked.exit_code == 0, checked.output
    again = json.loads(shop.run("copy", layout, there, "--json").stdout)
    assert again["blobs_copied"] == 0


def test_a_copy_of_nothing_says_so(shop: Shop) -> None:
    assert shop.run("copy", f"{shop.server.host}/team/none:v1", "oci:/tmp/x:v1").exit_code == 4
    assert shop.run("copy", "nonsense", shop.reference).exit_code == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("containerd-erofs", "notary-tar-index"),
        ("notary-tar-index", "containerd-erofs"),
        ("verilayer", "containerd-erofs"),
        ("containerd-erofs", "notation"),
        ("containerd-erofs", "rfc-layer"),
    ],
)
def test_moving_to_another_profile(shop: Shop, old: ProfileName, new: ProfileName) -> None:
    attach(shop.registry, shop.image, shop.layers, [old])
    run = shop.run(
        "republish", shop.reference, "--from", old, "--to", new, "--ca", str(shop.ca), "--json"
    )
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["removed"]
    assert not set(shop.types()) & PROFILES[old].artifact_types
    checked = shop.verify(shop.reference, new)
    assert checked.exit_code == 0, checked.output


def test_the_old_bundle_may_stay(shop: Shop) -> None:
    attach(shop.registry, shop.image, shop.layers, ["containerd-erofs"])
    run = shop.run(
        "republish", shop.reference, "--from=containerd-erofs", "--to=tardev", "--keep-old"
    )
    assert run.exit_code == 0, run.output
    kinds = PROFILES["containerd-erofs"].artifact_types | PROFILES["tardev"].artifact_types
    assert set(shop.types()) == kinds


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("azl", "needs build.padding 4096"),
        ("verilayer", "do not say which builder"),
    ],
)
def test_what_only_a_build_can_do_is_refused(shop: Shop, new: str, reason: str) -> None:
    attach(shop.registry, shop.image, shop.layers, ["containerd-erofs"])
    run = shop.run("republish", shop.reference, "--from=containerd-erofs", f"--to={new}")
    assert run.exit_code == 2, run.output
    assert reason in run.stderr
    assert set(shop.types()) == PROFILES["containerd-erofs"].artifact_types


def test_what_does_not_verify_is_not_moved(shop: Shop) -> None:
    attach(shop.registry, shop.image, shop.layers, ["containerd-erofs"])
    other = shop.folder / "other.pem"
    other.write_bytes(identity("other", key=rsa_key(number=2)).pem)
    run = shop.run(
        "republish", shop.reference, "--from=containerd-erofs", "--to=notary-tar-index",
        "--ca", str(other),
    )  # fmt: skip
    assert run.exit_code == 3, run.output
    assert set(shop.types()) == PROFILES["containerd-erofs"].artifact_types
