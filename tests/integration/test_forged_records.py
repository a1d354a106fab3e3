"""What is exchanged in Redis is never signed: the layer is read again, by real workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from app.facts import LayerFacts
from app.jobs.store import Placing
from app.oci.digest import Digest
from app.oci.manifest import Manifest, parse_manifest
from tests.support.images import PushedImage, layer_tar, push_image
from tests.support.pipeline import Pipeline, pipeline
from workers.artifacts.reading import read_bundle

pytestmark = pytest.mark.real

FORGED = "deadbeef" * 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with pipeline(tmp_path_factory.mktemp("forged")) as running:
        yield running


def forge(service: Pipeline, change: Callable[[LayerFacts], LayerFacts]) -> int:
    """Change what is recorded of every layer, as whoever can write to Redis can."""
    store = service.engine.builds.store
    keys = service.engine.redis.scan_iter("{verilayer}:build:b*")
    forged = 0
    for build_id in sorted({str(key).rpartition(":")[2] for key in keys}):
        found = store.get(build_id)
        if found is None or found.record.facts is None:
            continue
        record = found.record.model_copy(update={"facts": change(found.record.facts)})
        assert store.write(record, found.revision, Placing("none"))
        forged += 1
    return forged


def roots(service: Pipeline, repository: str, image: PushedImage) -> list[str]:
    (found,) = service.bundles(repository, image.digest)
    manifest = parse_manifest(service.registry.fetch_manifest(repository, found.digest))
    assert isinstance(manifest, Manifest)
    layers = read_bundle(manifest, "containerd-erofs").layers
    return [layers[layer.digest].facts["root_hash"] for layer in image.layers]


def signed_roots(service: Pipeline) -> set[str]:
    lines = (service.directory / "state" / "audit.jsonl").read_text().splitlines()
    return {line["root_hash"] for line in map(json.loads, lines) if line["event"] == "signed"}


FORGERIES: dict[str, Callable[[LayerFacts], LayerFacts]] = {
    "root-hash": lambda facts: replace(facts, root_hash=FORGED),
    "unsealed": lambda facts: replace(facts, seal=""),
    "index": lambda facts: replace(facts, index_digest=Digest.of(b"another index")),
    "warnings": lambda facts: replace(facts, warnings=(), warned=(), entries=facts.entries + 1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_thrown_away_and_the_layer_built_again(
    service: Pipeline, forgery: str
) -> None:
    first, second = f"forged/{forgery}/one", f"forged/{forgery}/two"
    seed = 100 * (1 + list(FORGERIES).index(forgery))
    tars = [layer_tar(seed), layer_tar(seed + 1)]
    image = push_image(service.registry, first, tars, tag="v1")
    service.wait_idle()
    true = roots(service, first, image)
    assert forge(service, FORGERIES[forgery]) >= 2
    built = service.builds_done()

    again = push_image(service.registry, second, tars, tag="v1")
    service.wait_idle(at_least=2)
    assert roots(service, second, again) == true
    assert service.builds_done() == built + 2
    assert FORGED not in signed_roots(service)
    (job,) = service.jobs(second)
    assert job.state == "succeeded"
