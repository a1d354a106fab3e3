"""Large blobs over links that break, and bytes that are not what they claim."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import ContentMismatch, NotFound, ResponseInvalid, Unavailable
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.registry.http.retrying import RetryPolicy
from app.registry.transfer.sources import BytesSource, FileSource
from tests.support.artifacts import LAYER
from tests.support.faultproxy import Proxy, fault_proxy
from tests.support.flakylink import PatternSource, pattern_blob
from tests.support.registries import RunningRegistry

pytestmark = pytest.mark.real

RETRY = RetryPolicy(4, base=0.01)


@pytest.fixture
def link(server: RunningRegistry) -> Iterator[Proxy]:
    with fault_proxy(server.host) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def big() -> tuple[Descriptor, PatternSource]:
    source = PatternSource(24 << 20)
    return pattern_blob(source), source


def test_a_download_goes_on_where_it_broke(
    server: RunningRegistry, link: Proxy, repository: str, big: tuple[Descriptor, PatternSource]
) -> None:
    blob, source = big
    with closing(server.open()) as direct:
        direct.push_blob(repository, blob, source)
    link.reset_every = 5 << 20
    with (
        closing(server.open(url=link.url, retry=RETRY)) as registry,
        registry.fetch_blob(repository, blob) as chunks,
    ):
        assert sum(map(len, chunks)) == blob.size
    assert link.hits >= 4
    ranges = [headers["range"] for _, headers in link.seen if "range" in headers]
    offsets = [int(text.removeprefix("bytes=").rstrip("-")) for text in ranges]
    assert len(offsets) == link.hits
    assert offsets == sorted(set(offsets)), "bytes were fetched twice"


@pytest.mark.parametrize("upload", ["monolithic", "chunked"])
def test_an_upload_goes_on_where_it_broke(
    servers: dict[str, RunningRegistry],
    repository: str,
    big: tuple[Descriptor, PatternSource],
    upload: str,
) -> None:
    # 2.8 forgets an upload whose link breaks; 3.x tells how much it has.
    blob, source = big
    server = servers["v3"]
    with fault_proxy(server.host) as link:
        link.reset_every = 7 << 20
        with closing(server.open(url=link.url, retry=RETRY, quirks={"upload": upload})) as registry:
            registry.push_blob(repository, blob, source)
        assert link.hits >= 3
        starts = [request for request, _ in link.seen if request.startswith("POST")]
        # One restart is legitimate: 3.x may count bytes of a broken request that it did not keep.
        assert len(starts) <= 2 < link.hits, "the upload was started again"
    with closing(server.open()) as direct, direct.fetch_blob(repository, blob) as chunks:
        assert sum(map(len, chunks)) == blob.size


def test_an_upload_starts_again_where_the_registry_forgot_it(
    debian: RunningRegistry, repository: str, big: tuple[Descriptor, PatternSource]
) -> None:
    blob, source = big
    with fault_proxy(debian.host) as link:
        link.arm("reset", "^PUT")
        with closing(debian.open(url=link.url, retry=RETRY)) as registry:
            registry.push_blob(repository, blob, source)
            assert registry.blob_exists(repository, blob.digest)


def test_a_link_without_progress_is_given_up(
    server: RunningRegistry, link: Proxy, repository: str, big: tuple[Descriptor, PatternSource]
) -> None:
    blob, source = big
    # What all four attempts get across is less than what counts as progress.
    link.reset_every = 1 << 14
    with (
        closing(server.open(url=link.url, retry=RETRY)) as registry,
        pytest.raises(Unavailable),
    ):
        registry.push_blob(repository, blob, source)
    # Each may also break while it asks how far the upload is, and while it starts it again.
    assert link.hits <= 3 * RETRY.attempts


def test_a_blob_that_is_there_is_not_sent_again(
    server: RunningRegistry, link: Proxy, repository: str
) -> None:
    data = os.urandom(1000)
    blob = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
    with closing(server.open(url=link.url)) as registry:
        registry.push_blob(repository, blob, BytesSource(data))
        link.seen.clear()
        registry.push_blob(repository, blob, BytesSource(data))
    assert [request.partition(" ")[0] for request, _ in link.seen] == ["HEAD"]


@pytest.mark.parametrize("data", [b"short", b"much too long", b"wrong!!"])
def test_a_source_that_is_not_the_blob_is_refused(
    server: RunningRegistry, repository: str, data: bytes
) -> None:
    blob = Descriptor(media_type=LAYER, digest=Digest.of(b"correct"), size=7)
    with closing(server.open(retry=RETRY)) as registry:
        with pytest.raises((ContentMismatch, ResponseInvalid)):
            registry.push_blob(repository, blob, BytesSource(data))
        assert not registry.blob_exists(repository, blob.digest)


def test_a_descriptor_with_the_wrong_size_is_noticed_before_reading(
    server: RunningRegistry, repository: str
) -> None:
    data = os.urandom(5000)
    blob = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
    with closing(server.open()) as registry:
        registry.push_blob(repository, blob, BytesSource(data))
        for size in (4999, 5001):
            wrong = blob.model_copy(update={"size": size})
            with pytest.raises(ContentMismatch, match=str(size)):
                registry.read_blob(repository, wrong, max_bytes=10_000)
        with pytest.raises(ResponseInvalid, match="at most 100"):
            registry.read_blob(repository, blob, max_bytes=100)


def test_an_empty_blob_and_a_part_of_a_file(
    server: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with closing(server.open()) as registry:
        for source, data in (
            (BytesSource(b""), b""),
            (FileSource(path, 2, 3), b"234"),
        ):
            blob = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
            registry.push_blob(repository, blob, source)
            assert registry.read_blob(repository, blob, max_bytes=10) == data


def test_what_is_not_there_is_not_found(server: RunningRegistry, repository: str) -> None:
    nothing = Descriptor(media_type=LAYER, digest=Digest.of(b"nothing"), size=7)
    with closing(server.open()) as registry:
        for reference in ("v1", nothing.digest):
            with pytest.raises(NotFound):
                registry.resolve(repository, reference)
            with pytest.raises(NotFound):
                registry.fetch_manifest(repository, reference)
        with pytest.raises(NotFound):
            registry.read_blob(repository, nothing, max_bytes=10)
        assert not registry.blob_exists(repository, nothing.digest)
        assert not registry.mount_blob(repository, nothing.digest, repository + "/other")
        assert registry.list_referrers(repository, nothing.digest) == []
        registry.delete_manifest(repository, nothing.digest)
        registry.detach(repository, nothing.digest, nothing.digest)


def test_an_abandoned_download_frees_its_connection(
    server: RunningRegistry, repository: str, big: tuple[Descriptor, PatternSource]
) -> None:
    blob, source = big
    limits = {"concurrency": 1, "repository_concurrency": 1}
    with closing(server.open(limits=limits)) as registry:
        registry.push_blob(repository, blob, source)
        for _ in range(12):
            with registry.fetch_blob(repository, blob) as chunks:
                next(chunks)
        assert registry.blob_exists(repository, blob.digest)
