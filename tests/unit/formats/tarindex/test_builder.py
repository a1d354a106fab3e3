"""The builder's own promises: chunking, truncation, refusals with entry and offset."""

from __future__ import annotations

import pytest

from tests.support.tarmaker import END, header, padded, pax
from tests.support.vectors import build, manifest, tar_bytes, vector_uuid
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.singledevice import single_device_form
from workers.formats.tarindex.superblock import with_uuid


def _chunked(tar: bytes, step: int) -> bytes:
    builder = TarIndexBuilder(TarIndexOptions(uuid=vector_uuid()))
    view = memoryview(tar)
    for start in range(0, len(tar), step):
        builder.feed(view[start : start + step])
    return builder.finish().data


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 4096])
def test_chunks_do_not_matter(step: int) -> None:
    for name in ("tree", "xattrs_many", "gnu_longname", "pax_path", "symlinks"):
        tar = tar_bytes(name)
        assert _chunked(tar, step) == build(tar).data


def _told(tar: bytes, version: str) -> set[str]:
    try:
        return {w.kind for w in build(tar, version).warnings}
    except FormatError as error:
        return {error.code}


@pytest.mark.parametrize("name", ["pax_mtime", "hardlinks", "gnu_longname", "devices"])
@pytest.mark.parametrize("version", ["1.9.3", "1.8.6"])
def test_every_truncation_point(name: str, version: str) -> None:
    """A cut gives a refusal, or an index with a warning; never the whole index in silence."""
    tar = tar_bytes(name)
    whole = build(tar, version)
    end = whole.tar_blocks * 512
    for cut in range(end):
        told = _told(tar[:cut], version)
        assert told & {"tar-truncated", "missing-end", "torn-header", "torn-extension"}
        assert version != "1.8.6" or told & {"tar-truncated", "torn-extension"}


_REFUSALS = [
    ("hardlink_missing", "link-target-missing"),
    ("hardlink_to_dir", "link-to-directory"),
    ("opaque_root", "root-not-directory"),
    ("through_symlink", "not-a-directory"),
    ("star_prefix131", "tar-checksum"),
    ("pax_bad_len", "pax-malformed"),
    ("xattr_libarchive_bad64", "xattr-malformed"),
    ("v7", "tar-magic"),
    ("numeric_bad", "tar-number"),
    ("size_negative", "tar-negative-size"),
    ("name_256", "name-too-long"),
    ("path_L_4096", "long-name-too-long"),
    ("truncated_data", "tar-truncated"),
]


@pytest.mark.parametrize(("name", "code"), _REFUSALS)
def test_refusal(name: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        build(tar_bytes(name))
    assert caught.value.code == code
    assert caught.value.offset is not None
    assert caught.value.offset % 512 == 0


def test_a_refusal_names_the_entry() -> None:
    tar = header(b"d/", b"5") + header(b"d/x", b"1", link=b"gone") + END
    with pytest.raises(FormatError) as caught:
        build(tar)
    error = caught.value
    assert (error.code, error.entry, error.offset) == ("link-target-missing", "d/x", 512)
    assert "d/x" in str(error)


def test_all_vector_failures_are_covered_by_a_code() -> None:
    vectors = manifest()["vectors"].items()
    refused = [name for name, vector in vectors if vector["results"]["std"].get("fails")]
    assert len(refused) > 5
    for name in refused:
        with pytest.raises(FormatError):
            build(tar_bytes(name))


@pytest.mark.parametrize("version", ["1.9.3", "1.8.6"])
def test_with_uuid(version: str) -> None:
    tar = tar_bytes("tree")
    other = bytes(range(16))
    builder = TarIndexBuilder(TarIndexOptions(uuid=other, version=version))
    builder.feed(tar)
    assert with_uuid(build(tar, version).data, other) == builder.finish().data
    with pytest.raises(FormatError):
        with_uuid(bytes(1536), other)


def test_single_device_form_keeps_everything_but_addresses() -> None:
    tar = tar_bytes("tree")
    index = build(tar).data
    single = single_device_form(index)
    before, after = ImageReader(index), ImageReader(single)
    sb = after.superblock
    assert len(single) == len(index)
    assert (sb.feature_incompat, sb.extra_devices, sb.checksum_valid) == (0, 0, True)
    assert sb.blocks == before.superblock.blocks + before.superblock.device_blocks
    assert single[1152:1280] == bytes(128)
    chunks = 0
    for (path, old), (other, new) in zip(before.walk(), after.walk(), strict=True):
        assert (path, old) == (other, new)
        for was, now in zip(before.chunks(old), after.chunks(new), strict=True):
            assert (was.device, now.device) == (1, 0)
            assert now.block == was.block + before.superblock.device_uniaddr
            chunks += 1
    assert chunks > 5
    with pytest.raises(FormatError):
        single_device_form(single)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        TarIndexBuilder(TarIndexOptions(uuid=b"short"))
    with pytest.raises(FormatError) as caught:
        TarIndexBuilder(TarIndexOptions(uuid=bytes(16), version="1.7.1"))
    assert caught.value.code == "unknown-version"
    assert "1.8.6" in caught.value.message


def test_counts() -> None:
    tar = header(b"a", size=3) + padded(b"abc") + pax([(b"mtime", b"1")]) + header(b"b") + END
    index = build(tar + bytes(512 * 9))
    assert (index.entries, index.tar_blocks) == (2, 7)


def test_order_of_names_in_the_archive_does_not_matter() -> None:
    names = [b"d/%d" % i for i in range(40)]
    one = header(b"d", b"5") + b"".join(header(n) for n in names) + END
    two = header(b"d", b"5") + b"".join(header(n) for n in reversed(names)) + END
    assert build(one).data == build(two).data


def test_a_dropped_entry_may_lose_its_body_but_not_its_padding() -> None:
    whole = header(b"a", b"D", size=512)
    assert {w.kind for w in build(whole + bytes(100)).warnings} == {"unknown-type", "missing-end"}
    with pytest.raises(FormatError) as caught:
        build(header(b"a", b"D", size=10) + bytes(10))
    assert caught.value.code == "tar-truncated"


def test_opaque_markers_pile_up_xattrs_to_their_limit() -> None:
    tar = header(b"d", b"5") + header(b"d/.wh..wh..opq") * 40_000
    with pytest.raises(FormatError) as caught:
        build(tar + END)
    assert (caught.value.code, caught.value.entry) == ("limit-xattr_bytes", "d/.wh..wh..opq")


def _behind(size: int, mtime: int) -> bytes:
    """A directory that declares ``size``, and a file whose address that pushes away."""
    return header(b"d", b"5", size=size) + header(b"f", size=3, mtime=mtime) + padded(b"abc") + END


@pytest.mark.parametrize("mtime", [0, 5])  # a compact and an extended inode
def test_an_address_beyond_32_bits_is_cut_or_refused(mtime: int) -> None:
    for size in (1 << 40, (1 << 42) + 1024):
        # What mkfs.erofs 1.8.6 and 1.8.10 write: the low 32 bits of the block's number.
        image = ImageReader(build(_behind(size, mtime), "1.8.6").data)
        (file,) = [inode for path, inode in image.walk() if path == b"/f"]
        (record,) = image.chunks(file)
        assert record.block == (size // 512 + 2) & 0xFFFF_FFFF
    build(_behind(1 << 40, mtime))
    with pytest.raises(FormatError) as caught:
        build(_behind(1 << 42, mtime))
    assert (caught.value.code, caught.value.entry) == ("address-too-large", "f")
