import pytest

from workers.formats.errors import FormatError
from workers.formats.verity.superblock import VeritySuperblock

UUID = bytes(range(16))


def test_a_superblock_is_read_back() -> None:
    block = VeritySuperblock(UUID, 12345)
    data = block.encode()
    assert len(data) == 512
    assert data[:16] == b"verity\0\0" + b"\1\0\0\0\1\0\0\0"
    assert VeritySuperblock.parse(data + b"more") == block


@pytest.mark.parametrize("uuid", [bytes(16), b"short"])
def test_an_unusable_uuid_is_refused(uuid: bytes) -> None:
    with pytest.raises(ValueError, match="UUID"):
        VeritySuperblock(uuid, 1).encode()


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (0, "verity-signature"),
        (8, "verity-signature"),
        (12, "verity-parameters"),
        (32, "verity-parameters"),
        (64, "verity-parameters"),
        (68, "verity-parameters"),
        (81, "verity-parameters"),
    ],
)
def test_foreign_parameters_are_refused(at: int, code: str) -> None:
    data = bytearray(VeritySuperblock(UUID, 12345).encode())
    data[at] ^= 0x40
    with pytest.raises(FormatError) as caught:
        VeritySuperblock.parse(bytes(data))
    assert caught.value.code == code


def test_a_cut_off_superblock_is_refused() -> None:
    with pytest.raises(FormatError, match="512"):
        VeritySuperblock.parse(bytes(511))
