from __future__ import annotations

import json

import pytest

from app.errors import ConfigurationError, SigningRefused
from app.oci.digest import Digest
from tests.support.layers import SUBJECT, signed_layer
from workers.artifacts.compose import FIRST_CREATED, compose, next_created


def test_a_repeated_layer_appears_once_at_its_lowest_position() -> None:
    one, two = signed_layer(1), signed_layer(2)
    (bundle,) = compose("notation", SUBJECT, [one, two, one])
    entries = json.loads(bundle.manifest.data)["layers"]
    titles = [entry["annotations"]["org.opencontainers.image.title"] for entry in entries]
    assert titles == ["layer-0.pkcs7.sig", "layer-1.pkcs7.sig"]


def test_signatures_and_empty_config_travel_inline_the_rest_is_stored() -> None:
    layer = signed_layer()
    (bundle,) = compose("containerd-erofs", SUBJECT, [layer])
    assert layer.signature is not None
    assert set(bundle.blobs) == {Digest.of(b"{}"), Digest.of(layer.signature)}
    stored = [entry.digest for entry in bundle.stored]
    assert stored == [layer.facts.index_digest, layer.facts.tree_digest]


def test_unsigned_layers_are_refused_where_readers_fail_on_them() -> None:
    with pytest.raises(SigningRefused, match="containerd-erofs fail without"):
        compose("containerd-erofs", SUBJECT, [signed_layer(), signed_layer(1, signed=False)])
    assert compose("verilayer", SUBJECT, [signed_layer(signed=False)])


def test_the_wrong_padding_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="padded to 512 bytes, readers of azl assume 4096"):
        compose("azl", SUBJECT, [signed_layer()])


def test_an_image_without_layers_gets_no_bundle() -> None:
    with pytest.raises(ConfigurationError, match="has no layers"):
        compose("containerd-erofs", SUBJECT, [])


def test_a_layers_graph_does_not_depend_on_the_image() -> None:
    layer = signed_layer(3)
    alone = compose("rfc-layer", SUBJECT, [layer])
    among = compose("rfc-layer", SUBJECT, [signed_layer(1), layer])
    assert [b.manifest for b in alone] == [b.manifest for b in among if b.layer == alone[0].layer]
    first, *referring = alone
    assert first.subject is None
    assert {bundle.subject for bundle in referring} == {first.manifest.digest}
    document = json.loads(first.manifest.data)
    assert document["layers"] == [layer.layer.wire()]
    assert "annotations" not in document
    assert "subject" not in document


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], FIRST_CREATED),
        ([None, "yesterday"], FIRST_CREATED),
        (["2026-09-01T10:00:00Z", "2026-08-01T10:00:00Z"], "2026-09-01T10:00:01Z"),
        (["2026-09-01T10:00:00.75+02:00"], "2026-09-01T08:00:01Z"),
        (["2026-09-01T10:00:59"], "2026-09-01T10:01:00Z"),
    ],
)
def test_a_new_bundle_is_the_newest(existing: list[str | None], expected: str) -> None:
    assert next_created(existing) == expected
