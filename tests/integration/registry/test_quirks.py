"""Deviations of well-known registries, each reproduced by a server over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.config.model import QuirksConfig, RegistryConfig
from app.errors import AccessRefused, RegistryError, ResponseInvalid, TagImmutable
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.fallback import fallback_tag
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.protocols import Registry
from app.registry.quirks import quirks_for
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import LAYER, artifact, push_image
from tests.support.quirkyregistry import QuirkyRegistry, quirky_registry

DATA = bytes(range(256)) * 1200
BLOB = Descriptor(media_type=LAYER, digest=Digest.of(DATA), size=len(DATA))

_OPEN: list[Registry] = []


def client(server: QuirkyRegistry, **fields: Any) -> Registry:
    values = {"id": "main", "url": server.url, "allow_private_addresses": True} | fields
    registry = open_registry(RegistryConfig.model_validate(values), LocalCoordination())
    _OPEN.append(registry)
    return registry


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def sizes(server: QuirkyRegistry, method: str) -> list[int]:
    return [size for name, _, _, size in server.requests if name == method]


def test_one_streamed_put_by_default() -> None:
    with quirky_registry() as server:
        client(server).push_blob("a/b", BLOB, BytesSource(DATA))
        assert server.blobs[BLOB.digest] == DATA
        assert (sizes(server, "PUT"), sizes(server, "PATCH")) == ([len(DATA)], [])


def test_a_signed_upload_location_is_kept_to_the_letter() -> None:
    query = "?X-Signature=a%2Bb%2f/c+d%20e==&_state=x:y"
    with quirky_registry(upload_query=query) as server:
        client(server).push_blob("a/b", BLOB, BytesSource(DATA))
        target = next(target for method, target, _, _ in server.requests if method == "PUT")
        assert target.endswith(f"{query}&digest={BLOB.digest}")


def test_ghcr_a_body_that_is_too_large_is_sent_in_chunks() -> None:
    with quirky_registry(max_body=1 << 16) as server:
        client(server, quirks={"chunk_bytes": 1 << 16}).push_blob("a/b", BLOB, BytesSource(DATA))
        assert server.blobs[BLOB.digest] == DATA
        assert max(sizes(server, "PATCH")) == 1 << 16


def test_ghcr_is_known_by_its_host() -> None:
    known = quirks_for("ghcr.io", QuirksConfig())
    assert (known.upload, known.chunk_bytes) == ("chunked", 4 << 20)
    assert quirks_for("ghcr.io", QuirksConfig(upload="monolithic")).upload == "monolithic"


def test_ecr_patch_says_created_and_repeats_its_first_range() -> None:
    quirks = {"upload": "chunked", "chunk_bytes": 1 << 16}
    with quirky_registry(sticky_range=True) as server:
        client(server, quirks=quirks).push_blob("a/b", BLOB, BytesSource(DATA))
        assert server.blobs[BLOB.digest] == DATA


def test_an_upload_that_refuses_the_offset_it_tells_is_begun_anew() -> None:
    quirks = {"upload": "chunked", "chunk_bytes": 1 << 16}
    with quirky_registry(stuck=True) as server:
        client(server, quirks=quirks).push_blob("a/b", BLOB, BytesSource(DATA))
        assert server.blobs[BLOB.digest] == DATA
        assert len(sizes(server, "POST")) == 2


def test_acr_wants_the_plain_form_of_content_range() -> None:
    quirks = {"upload": "chunked", "chunk_bytes": 1 << 16}
    with quirky_registry(plain_range_only=True) as server:
        client(server, quirks=quirks).push_blob("a/b", BLOB, BytesSource(DATA))
        assert server.blobs[BLOB.digest] == DATA


def test_the_least_chunk_a_registry_wants_is_honoured() -> None:
    quirks = {"upload": "chunked", "chunk_bytes": 1 << 16}
    with quirky_registry(min_chunk=100_000) as server:
        client(server, quirks=quirks).push_blob("a/b", BLOB, BytesSource(DATA))
        assert sizes(server, "PATCH") == [100_000, 100_000, 100_000, len(DATA) - 300_000]


def test_an_absurd_least_chunk_is_refused() -> None:
    with quirky_registry(min_chunk=1 << 40) as server, pytest.raises(ResponseInvalid):
        client(server, quirks={"upload": "chunked"}).push_blob("a/b", BLOB, BytesSource(DATA))


@pytest.mark.parametrize(
    "answer",
    [
        (400, "TAG_INVALID", "The image tag already exists and cannot be overwritten: immutable"),
        (412, "PRECONDITION", "Failed to process request due to 'x' configured as immutable"),
        (409, "TAG_IMMUTABLE", "tag is immutable"),
    ],
)
@pytest.mark.parametrize("etags", [False, True])
def test_immutable_tags_are_a_permanent_error_with_advice(
    answer: tuple[int, str, str], etags: bool
) -> None:
    with quirky_registry(immutable=answer, etags=etags) as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        registry.attach("a/b", artifact(image, "application/a"))
        with pytest.raises(TagImmutable, match=r"sha256-\*") as caught:
            registry.attach("a/b", artifact(image, "application/b"))
        assert not caught.value.retryable
        assert len(registry.list_referrers("a/b", image.digest)) == 1


@pytest.mark.parametrize("filters", [False, True])
def test_the_api_is_read_page_by_page_and_filtered_here_too(filters: bool) -> None:
    with quirky_registry(referrers_page=2, filters=filters) as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        kinds = [f"application/{n % 2}" for n in range(7)]
        for n, kind in enumerate(kinds):
            assert registry.attach("a/b", artifact(image, kind, str(n))).subject_indexed
        assert fallback_tag(image.digest) not in server.tags
        assert len(registry.list_referrers("a/b", image.digest)) == 7
        found = registry.list_referrers("a/b", image.digest, "application/1")
        assert [entry.artifact_type for entry in found] == ["application/1"] * 3


def test_an_api_that_lies_is_seen_through() -> None:
    with quirky_registry(referrers_page=0) as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        manifest = artifact(image, "application/a")
        assert not registry.attach("a/b", manifest).subject_indexed
        found = registry.list_referrers("a/b", image.digest)
        assert [entry.digest for entry in found] == [manifest.digest]


def test_writers_without_our_lock_are_merged_with_by_etag() -> None:
    with quirky_registry(etags=True) as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        ours = [artifact(image, "application/a", str(n)) for n in range(2)]
        theirs = artifact(image, "application/b")
        registry.attach("a/b", ours[0])
        raced = _Racing(server, client(server), theirs)
        server.reply = raced.reply  # type: ignore[method-assign]
        registry.attach("a/b", ours[1])
        found = {entry.digest for entry in registry.list_referrers("a/b", image.digest)}
        assert found == {theirs.digest, *(manifest.digest for manifest in ours)}
        assert raced.refused == 1


class _Racing:
    """Lets another writer win just before the first conditional update of the tag."""

    def __init__(self, server: QuirkyRegistry, other: Registry, manifest: Any) -> None:
        self._reply, self._other, self._manifest = server.reply, other, manifest
        self._done = False
        self.refused = 0

    def reply(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        if method == "PUT" and "/manifests/sha256-" in target and not self._done:
            self._done = True
            self._other.attach("a/b", self._manifest)
        answer = self._reply(method, target, headers, body)
        self.refused += answer[0] == 412
        return answer


def test_stale_entries_of_the_fallback_tag_are_repaired() -> None:
    with quirky_registry() as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        gone, kept = artifact(image, "application/a"), artifact(image, "application/b")
        registry.attach("a/b", gone)
        registry.delete_manifest("a/b", gone.digest)
        registry.attach("a/b", kept)
        found = registry.list_referrers("a/b", image.digest)
        assert [entry.digest for entry in found] == [kept.digest]


def test_a_fallback_tag_that_is_an_image_is_not_replaced() -> None:
    with quirky_registry() as server:
        registry = client(server)
        image = push_image(registry, "a/b", "v1", b"x")
        registry.push_manifest("a/b", image, fallback_tag(image.digest))
        with pytest.raises(RegistryError, match="somebody has used the tag"):
            registry.attach("a/b", artifact(image, "application/a"))
        assert server.tags[fallback_tag(image.digest)] == image.digest


def test_a_redirected_blob_is_fetched_without_credentials() -> None:
    account = {"kind": "basic", "username": "u", "password": {"value": "hidden"}}
    with quirky_registry("127.0.0.2") as storage, quirky_registry(blobs_at=storage.url) as server:
        storage.blobs[BLOB.digest] = server.blobs[BLOB.digest] = DATA
        open_quirks = {"upload_hosts": ["127.0.0.2"]}
        registry = client(server, credentials=account, quirks=open_quirks)
        with registry.fetch_blob("a/b", BLOB) as chunks:
            assert b"".join(chunks) == DATA
        assert [headers.get("authorization") for _, _, headers, _ in storage.requests] == [None]


def test_storage_that_refuses_head_is_asked_for_a_byte() -> None:
    with (
        quirky_registry(refuses_head=True) as storage,
        quirky_registry(blobs_at=storage.url) as server,
    ):
        registry = client(server)
        assert not registry.blob_exists("a/b", BLOB.digest)
        server.blobs[BLOB.digest] = DATA
        assert not registry.blob_exists("a/b", BLOB.digest)
        storage.blobs[BLOB.digest] = DATA
        assert registry.blob_exists("a/b", BLOB.digest)


def test_connections_are_reused_and_requests_bounded() -> None:
    with quirky_registry(delay=0.01) as server:
        registry = client(server, limits={"concurrency": 3, "repository_concurrency": 2})
        image = push_image(registry, "a/b", "v1", b"x")
        push_image(registry, "c/d", "v1", b"x")

        def ask(number: int) -> str:
            return registry.resolve("a/b" if number % 2 else "c/d", "v1").digest

        assert server.connections == 1
        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(ask, range(60))) == {image.digest}
        assert 1 < server.most <= 3
        assert server.connections <= 3


def test_a_redirect_into_the_private_network_is_refused() -> None:
    with quirky_registry("127.0.0.2") as storage, quirky_registry(blobs_at=storage.url) as server:
        storage.blobs[BLOB.digest] = server.blobs[BLOB.digest] = DATA
        with pytest.raises(AccessRefused, match=r"127\.0\.0\.2"):
            client(server).read_blob("a/b", BLOB, max_bytes=1 << 20)
        assert storage.requests == []


def test_an_upload_goes_to_another_host_only_when_configured_and_without_credentials() -> None:
    with quirky_registry("127.0.0.2") as other, quirky_registry(uploads_at=other.url) as server:
        other.uploads = server.uploads
        with pytest.raises(AccessRefused, match="upload_hosts"):
            client(server).push_blob("a/b", BLOB, BytesSource(DATA))
        assert other.requests == []
        registry = client(server, quirks={"upload_hosts": [other.url.partition("://")[2]]})
        registry.push_blob("a/b", BLOB, BytesSource(DATA))
        assert other.blobs[BLOB.digest] == DATA
        assert all("authorization" not in headers for _, _, headers, _ in other.requests)


def test_loopback_is_refused_unless_configured() -> None:
    with quirky_registry() as server:
        with pytest.raises(AccessRefused, match="allow_private_addresses"):
            client(server, allow_private_addresses=False).resolve("a/b", "v1")
        assert server.requests == []
