"""Properties of every archive the generator makes."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import tar_index
from tests.support.tarmaker import tars
from tests.support.vectors import build
from workers.formats.erofs.dump import dump
from workers.formats.erofs.reader import ImageReader
from workers.formats.errors import FormatError
from workers.formats.tarindex.singledevice import single_device_form

_SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@_SETTINGS
@given(tars())
def test_index_reads_back(tar: bytes) -> None:
    """Its superblock counts what the walk finds, and all addresses lie inside."""
    try:
        index = build(tar)
    except FormatError:
        return
    reader = ImageReader(index.data)
    assert len(index.data) == reader.superblock.blocks * 512
    assert reader.superblock.checksum_valid
    assert reader.superblock.device_blocks == index.tar_blocks
    if any(w.kind == "body-on-special" for w in index.warnings):
        return  # such an inode may have no place at all
    nids = set()
    for _, inode in reader.walk():
        nids.add(inode.nid)
        for record in reader.chunks(inode):
            assert record.block < max(index.tar_blocks, 1)
    assert len(nids) == reader.superblock.inos
    assert len(single_device_form(index.data)) == len(index.data)
    assert list(dump(index.data))


@_SETTINGS
@given(tars(), st.binary(min_size=2, max_size=2), st.data())
def test_mutations_are_survived(tar: bytes, head: bytes, data: st.DataObject) -> None:
    """A tar with bytes changed anywhere gives an index or a FormatError, for any chunking."""
    blocks = bytearray(tar)
    for _ in range(data.draw(st.integers(1, 4))):
        if blocks:
            blocks[data.draw(st.integers(0, len(blocks) - 1))] = data.draw(st.integers(0, 255))
    tar_index(head + bytes(blocks))
