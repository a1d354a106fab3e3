"""One layer into one file: ``[index][tar][padding][hash tree]``, in one pass over the tar.

The bundle's tree is proved against the root hash first, so that its leaves say what every block of
index and tar must hash to. The tar is decompressed once; each block is compared as it passes. The
single-device layout differs in the index alone: its leaves and the upper levels above them are
computed anew, the tar's leaves stay (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from app.catalog.vocabulary import Layout
from app.errors import Cancelled, ContentMismatch, VerificationFailed
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.registry.repository import Fetcher
from workers.formats.errors import FormatError
from workers.formats.tarindex.builder import TarIndexBuilder, TarIndexOptions
from workers.formats.tarindex.singledevice import single_device_form
from workers.formats.verity.blocks import LeafHasher, block_hashes
from workers.formats.verity.extents import chunks
from workers.formats.verity.tree import HashTree
from workers.formats.verity.values import BLOCK, DIGEST
from workers.layers.decompression import DecompressionLimits, decompress
from workers.layers.identity import erofs_uuid
from workers.node.bundles import LayerClaim
from workers.node.stored import TreeFile, data_blocks, proved_tree
from workers.verification.content import index_problems

#: Above this an index is no index: two million entries need about 200 MB.
MAX_INDEX_BYTES = 1 << 30
#: The largest alignment of a verity data area that any profile uses, in bytes.
MAX_PADDING = 4096


class LayerFilling:
    """Fetches and writes one layer; ``root_hash`` and ``hash_offset`` hold once it is written."""

    def __init__(
        self,
        repository: Fetcher,
        claim: LayerClaim,
        layout: Layout,
        cancelled: Callable[[], bool],
    ) -> None:
        """Nothing is fetched yet."""
        self._repository = repository
        self._claim = claim
        self._layout = layout
        self._cancelled = cancelled
        self._layer = claim.planned.descriptor.digest
        self.root_hash = ""
        self.hash_offset = 0
        #: Bytes of bundle and layer that were fetched.
        self.fetched = 0

    def write(self, folder: Path) -> Path:
        """Write the file below ``folder`` and return its path.

        Raises ``VerificationFailed``, ``SourceInvalid``, ``Cancelled`` and registry errors.
        """
        try:
            return self._write(folder)
        except FormatError as error:
            raise VerificationFailed(f"layer {self._layer}: {error}") from None

    def _write(self, folder: Path) -> Path:
        index = self._index()
        own = index if self._layout == "device-table" else single_device_form(index)
        tree_path = folder / "tree"
        with tree_path.open("wb") as out:
            self._copy(self._claim.tree, out)
        file = TreeFile(tree_path)
        try:
            self.hash_offset = data_blocks(file, self._layer) * BLOCK
            head = bytes(block_hashes(index))
            tree = proved_tree(file, self._layer, self._claim.root_hash, len(head))
            leaves = _Leaves(tree, self._layer)
            leaves.check(head)
            path = folder / "blob"
            with path.open("wb") as out:
                out.write(own)
                self._write_tar(out, index, leaves)
                self._write_tree(out, tree, own, file.read_at(0, BLOCK))
        finally:
            file.close()
        tree_path.unlink()
        return path

    def _index(self) -> bytes:
        claim = self._claim
        index = self._repository.read_blob(claim.index, max_bytes=MAX_INDEX_BYTES)
        self.fetched += len(index)
        problems = [text for _, text in index_problems(index, self._layer)]
        if len(index) % BLOCK:
            problems.append("its length is not a multiple of 512")
        if problems:
            raise VerificationFailed(f"index of {self._layer}: {'; '.join(problems)}")
        return index

    def _copy(self, blob: Descriptor, out: BinaryIO) -> None:
        with self._repository.fetch_blob(blob) as parts:
            for part in self._watched(parts):
                out.write(part)

    def _watched(self, parts: Iterable[bytes]) -> Iterable[bytes]:
        for part in parts:
            if self._cancelled():
                raise Cancelled(f"fetching {self._layer} was cancelled")
            self.fetched += len(part)
            yield part

    def _write_tar(self, out: BinaryIO, index: bytes, leaves: _Leaves) -> None:
        planned = self._claim.planned
        room = self.hash_offset - len(index)
        limits = DecompressionLimits(max_bytes=room, max_ratio=float("inf"))
        hasher, size = LeafHasher(), 0
        rebuilt = self._rebuilder()
        with self._repository.fetch_blob(planned.descriptor) as parts:
            for piece in decompress(self._watched(parts), planned.compression, limits):
                leaves.check(hasher.update(piece))
                if rebuilt is not None:
                    rebuilt.feed(piece)
                out.write(piece)
                size += len(piece)
        leaves.check(hasher.finish())
        padding = room - size
        if padding >= MAX_PADDING:
            raise VerificationFailed(f"layer {self._layer} is shorter than its tree says")
        out.write(bytes(padding))
        leaves.check(block_hashes(bytes(padding // BLOCK * BLOCK)))
        if f"sha256:{hasher.hexdigest()}" != planned.diff_id:
            raise ContentMismatch(f"layer {self._layer} is not {planned.diff_id} uncompressed")
        if rebuilt is not None and rebuilt.finish().data != index:
            raise VerificationFailed(f"index of {self._layer} is not the layer's own")

    def _rebuilder(self) -> TarIndexBuilder | None:
        """Without a signature nobody vouches for the index: it is built again and compared."""
        claim = self._claim
        if claim.signer is not None:
            return None
        assert claim.builder_version is not None
        uuid = erofs_uuid(self._layer).bytes
        return TarIndexBuilder(TarIndexOptions(uuid, version=claim.builder_version))

    def _write_tree(self, out: BinaryIO, tree: HashTree, own: bytes, superblock: bytes) -> None:
        if self._layout == "single-device":
            tree = tree.with_head(bytes(block_hashes(own)))
            stated = self._claim.single_device_root_hash
            if stated is not None and stated != tree.root.hex():
                raise VerificationFailed(
                    f"layer {self._layer}: single-device root hash is {tree.root.hex()}, the "
                    f"bundle says {stated}"
                )
        for piece in chunks(tree.extents(superblock), 1 << 20):
            out.write(piece)
        self.root_hash = tree.root.hex()


class _Leaves:
    """Compares leaves, as they come, with those of a proved tree."""

    def __init__(self, tree: HashTree, layer: Digest) -> None:
        self._leaves = tree.levels[0][0]
        self._layer = layer
        self._at = 0

    def check(self, leaves: bytes | bytearray) -> None:
        if self._leaves.read(self._at, len(leaves)) != leaves:
            block = self._at // DIGEST
            raise VerificationFailed(
                f"layer {self._layer}: content after block {block} is not what its tree says"
            )
        self._at += len(leaves)
