import hashlib
import random

import pytest

from workers.formats.verity.extents import Extent, ExtentReader, HeldBytes, chunks, held, total
from workers.formats.verity.tree import HashTree, build_tree


def reference(leaves: bytes) -> tuple[bytes, bytes]:
    """Return (levels from the top, root), straight from the definition."""
    levels = b""
    while len(leaves) > 32:
        filled = leaves.ljust(-(-len(leaves) // 512) * 512, b"\0")
        levels = filled + levels
        blocks = [filled[at : at + 512] for at in range(0, len(filled), 512)]
        leaves = b"".join(hashlib.sha256(bytes(32) + block).digest() for block in blocks)
    return levels, leaves


def content(tree: HashTree) -> bytes:
    return b"".join(chunks(tree.extents(b"S" * 512), 1000))[512:]


def tree_of(head: bytes, tail: bytes) -> HashTree:
    return build_tree(head, Extent(HeldBytes(b"xx" + tail), 2, len(tail)), lambda _: HeldBytes())


@pytest.mark.parametrize("tail", [0, 1, 2, 13, 15, 16, 17, 255, 256, 257, 4500])
@pytest.mark.parametrize("head", [0, 1, 3, 15, 16, 17, 33, 300])
def test_levels_and_root_follow_the_definition(head: int, tail: int) -> None:
    if not head + tail:
        return
    rng = random.Random(head * 5000 + tail)
    first, rest = rng.randbytes(32 * head), rng.randbytes(32 * tail)
    tree = tree_of(first, rest)
    assert (content(tree), tree.root) == reference(first + rest)
    other = rng.randbytes(32 * head)
    changed = tree.with_head(other)
    assert (content(changed), changed.root) == reference(other + rest)
    assert (content(tree), tree.root) == reference(first + rest)


def test_a_head_of_another_length_and_no_leaves_are_refused() -> None:
    tree = tree_of(bytes(64), bytes(64))
    with pytest.raises(ValueError, match="length"):
        tree.with_head(bytes(32))
    with pytest.raises(ValueError, match="no leaves"):
        tree_of(b"", b"")
    with pytest.raises(ValueError, match="half"):
        tree_of(b"", bytes(33))


def test_extents_are_read_as_one_file() -> None:
    parts = [b"abc", b"", b"defgh", b"i" * 5000]
    whole = b"".join(parts)
    extents = [held(part) for part in parts]
    assert total(extents) == len(whole)
    with ExtentReader(extents).buffered() as file:
        assert file.read() == whole
        file.seek(2)
        assert file.read(3) == whole[2:5]
        assert file.seek(-4, 2) == len(whole) - 4
        assert file.read(100) == whole[-4:]
        assert file.read() == b""
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)


def test_a_short_scratch_file_is_noticed() -> None:
    with pytest.raises(OSError, match="shorter"):
        Extent(HeldBytes(b"abc"), 0, 4).read(0, 4)
