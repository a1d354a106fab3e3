"""On-disk structures: what is stated of them fits together, and both directions use it."""

from __future__ import annotations

import pytest

from workers.formats.erofs import ondisk
from workers.formats.erofs.ondisk import Field
from workers.formats.words import ByteQueue, WordArray

#: Structure -> size of the struct in include/erofs_fs.h of erofs-utils.
_SIZES = {
    "SuperBlock": 128,
    "DeviceSlot": 128,
    "InodeCompact": 32,
    "InodeExtended": 64,
    "ChunkIndex": 8,
    "Dirent": 12,
    "XattrIbodyHeader": 12,
    "XattrEntry": 4,
}


def _fields(structure: str) -> dict[str, Field]:
    members = vars(getattr(ondisk, structure))
    return {name: field for name, field in members.items() if isinstance(field, Field)}


@pytest.mark.parametrize("structure", _SIZES)
def test_fields_follow_each_other_to_the_end(structure: str) -> None:
    end = 0
    for name, field in _fields(structure).items():
        assert field.offset == end, name
        end += field.size
    assert end == getattr(ondisk, structure).SIZE == _SIZES[structure]


def test_no_structure_is_left_out() -> None:
    found = {name for name, value in vars(ondisk).items() if hasattr(value, "SIZE")}
    assert found == set(_SIZES)


@pytest.mark.parametrize("structure", _SIZES)
def test_what_is_put_is_got(structure: str) -> None:
    image, queue = WordArray(256), ByteQueue()
    at = 64
    values = {}
    for number, (name, field) in enumerate(_fields(structure).items()):
        if field.size in (1, 2, 4, 8):
            values[name] = (1 << 8 * field.size) - 1 - number  # the highest bit set
            field.put(image, at, values[name] - (1 << 64) * (field.size == 8))
            field.append(queue, values[name] - (1 << 64) * (field.size == 8))
        else:
            queue.write(bytes(field.size))
    data = image.data()
    for name, value in values.items():
        assert _fields(structure)[name].get(data, at) == value
    assert data[at : at + _SIZES[structure]] == queue.getvalue()
    assert data[:at] == bytes(at)


def test_octets() -> None:
    image = WordArray(256)
    field = ondisk.SuperBlock.UUID
    field.put_octets(image, 64, bytes(range(16)))
    assert field.octets(image.data(), 64) == bytes(range(16))
    with pytest.raises(ValueError, match="15 bytes for a field of 16"):
        field.put_octets(image, 64, bytes(15))
