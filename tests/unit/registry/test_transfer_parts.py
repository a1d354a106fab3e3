"""Sources, slots, retries and the fallback tag's arithmetic."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from app.errors import RateLimited, RegistryError, Unauthorized, Unavailable
from app.oci import fallback, mediatypes
from app.oci.derived_tags import DerivedTag
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.manifest import RawManifest, encode
from app.registry.http.retrying import RetryPolicy
from app.registry.http.slots import Slots
from app.registry.transfer.sources import BytesSource, FileSource


def test_sources_open_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    for source, content in (
        (BytesSource(b"abc"), b"abc"),
        (FileSource(path), b"0123456789"),
        (FileSource(path, 3), b"3456789"),
        (FileSource(path, 3, 4), b"3456"),
        (FileSource(path, 20), b""),
    ):
        for _ in range(2):
            with source.open() as reader:
                assert reader.read() == content


def test_a_part_of_a_file_can_be_sought_in(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with FileSource(path, 2, 5).open() as reader:
        assert reader.seek(3) == 3
        assert reader.read(10) == b"56"
        assert reader.seek(-2, io.SEEK_END) == 3
        assert reader.read(1) == b"5"


def test_a_thread_nests_requests_in_its_slot_and_others_wait() -> None:
    slots = Slots(1, 1, patience=0.05)
    refused: list[str] = []

    def other() -> None:
        try:
            with slots.hold("b"):
                pass
        except Unavailable as error:
            refused.append(str(error))

    with slots.hold("a"), slots.hold("a"), slots.hold("c"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with slots.hold("b"):
        pass


@pytest.mark.parametrize(
    ("error", "tries", "least"),
    [
        (Unavailable("x"), 3, 0.0),
        (RateLimited("x", retry_after=7), 3, 7.0),
        (Unavailable("x", wait=9.0), 3, 9.0),
        (RateLimited("x", retry_after=3600), 1, 0.0),
        (Unauthorized("x"), 1, 0.0),
    ],
)
def test_only_what_can_pass_is_tried_again(error: RegistryError, tries: int, least: float) -> None:
    naps: list[float] = []
    calls: list[int] = []

    def operation() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        RetryPolicy(3, sleep=naps.append).call(operation)
    assert len(calls) == tries
    assert all(nap >= least for nap in naps)
    assert RetryPolicy(3, sleep=naps.append).pause(1, error) is (tries > 1)
    assert RetryPolicy(3, sleep=naps.append).pause(3, error) is False


def test_the_fallback_tag() -> None:
    short, long = Digest("sha256:" + "ab" * 32), Digest("sha512:" + "cd" * 64)
    assert fallback.fallback_tag(short) == "sha256-" + "ab" * 32
    assert fallback.fallback_tag(long) == "sha512-" + "cd" * 32
    derived = DerivedTag.parse(fallback.fallback_tag(long))
    assert derived is not None
    assert derived.lists_referrers
    assert DerivedTag.parse("sha256-abc") is None


def test_entries_take_type_and_annotations_from_the_manifest() -> None:
    config = Descriptor(media_type="application/conf", digest=Digest.of(b"{}"), size=2)
    document: dict[str, object] = {
        "schemaVersion": 2,
        "config": config.wire(),
        "annotations": {"a": "b"},
    }
    raw = RawManifest(mediatypes.OCI_MANIFEST, encode(document))
    entry = fallback.entry_of(raw)
    assert (entry.artifact_type, entry.annotations) == ("application/conf", {"a": "b"})
    typed = RawManifest(mediatypes.OCI_MANIFEST, encode(document | {"artifactType": "x/y"}))
    assert fallback.entry_of(typed).artifact_type == "x/y"
    index = fallback.encode_entries([entry, fallback.entry_of(typed)])
    assert fallback.entries_of(index, "t") == [entry, fallback.entry_of(typed)]
    assert fallback.merged([entry], [entry], ()) == [entry]
    assert fallback.merged([entry], (), (raw.digest,)) == []
