"""The image layout in a tar file: written the same every time, read with distrust."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from app.errors import RegistryError
from app.registry.layout.archive import ArchiveRegistry
from tests.support.artifacts import artifact, push_image
from tests.support.tools import require


def write(path: Path) -> str:
    registry = ArchiveRegistry(path)
    image = push_image(registry, "team/app", "v1", b"content")
    registry.attach("team/app", artifact(image, "application/a"))
    registry.close()
    registry.close()
    return image.digest


def test_it_is_a_registry_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    digest = write(tmp_path / "one.tar")
    write(tmp_path / "other.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    again = ArchiveRegistry(tmp_path / "one.tar", create=False)
    image = again.fetch_manifest("x", "v1")
    assert image.digest == digest
    (referrer,) = again.list_referrers("x", image.digest)
    before = (tmp_path / "one.tar").stat()
    again.close()
    assert (tmp_path / "one.tar").stat() == before, "reading writes nothing"
    again = ArchiveRegistry(tmp_path / "one.tar")
    again.detach("x", image.digest, referrer.digest)
    again.close()
    again = ArchiveRegistry(tmp_path / "one.tar")
    assert again.list_referrers("x", image.digest) == []
    again.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.tar", "other.tar"]


def test_skopeo_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "image.tar")
    done = subprocess.run(
        [require("skopeo"), "inspect", "--raw", f"oci-archive:{tmp_path / 'image.tar'}:v1"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["schemaVersion"] == 2


def test_an_untouched_archive_is_not_made(tmp_path: Path) -> None:
    ArchiveRegistry(tmp_path / "none.tar").close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RegistryError, match="does not exist"):
        ArchiveRegistry(tmp_path / "none.tar", create=False)


def hostile(path: Path, *members: tarfile.TarInfo) -> None:
    marker = b'{"imageLayoutVersion":"1.0.0"}'
    with tarfile.open(path, "w") as tar:
        one = tarfile.TarInfo("oci-layout")
        one.size = len(marker)
        tar.addfile(one, io.BytesIO(marker))
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


BLOB = "blobs/sha256/" + "0" * 64


@pytest.mark.parametrize(
    "member",
    [
        named(BLOB, tarfile.SYMTYPE, "/etc/passwd"),
        named(BLOB, tarfile.LNKTYPE, "oci-layout"),
        named("index.json", tarfile.SYMTYPE, "/etc/passwd"),
        named(BLOB, tarfile.FIFOTYPE),
        named("./oci-layout"),
    ],
)
def test_links_devices_and_doubles_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    hostile(tmp_path / "bad.tar", member)
    with pytest.raises(RegistryError, match="is no plain file, or is there twice"):
        ArchiveRegistry(tmp_path / "bad.tar")


def test_strange_names_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    strange = [
        "../out",
        "/tmp/verilayer-out",
        "blobs/../../out",
        "blobs/sha256/../x",
        "manifest.json",
    ]
    hostile(tmp_path / "in" / "odd.tar", *map(named, strange))
    registry = ArchiveRegistry(tmp_path / "in" / "odd.tar")
    registry.close()
    assert [each.name for each in tmp_path.rglob("*")] == ["in", "odd.tar"]
    assert not Path("/tmp/verilayer-out").exists()


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, bytes(10240)])
def test_what_is_no_layout_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(data)
    with pytest.raises(RegistryError, match=r"cannot read|holds no OCI"):
        ArchiveRegistry(tmp_path / "bad.tar")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "image.tar")
    data = (tmp_path / "image.tar").read_bytes()
    (tmp_path / "image.tar").write_bytes(data[: data.index(b"index.json") + 520])
    with pytest.raises(RegistryError):
        ArchiveRegistry(tmp_path / "image.tar")
