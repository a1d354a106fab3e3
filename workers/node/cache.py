"""A layer content cache as containerd's EROFS snapshotter reads it (containerd 2.4 and newer).

::

    <root>/sha256/<first two hex>/<diffID hex>.erofs            [index][tar][padding][hash tree]
    <root>/sha256/<first two hex>/<diffID hex>.erofs.dmverity   only where dm-verity is used
    <root>/.verilayer/                                          ours: records, locks, staging

containerd stats the blob and takes it as complete; it never writes here. So a blob appears by one
rename, after its sidecar, and both are on disk before (containerd, docs/snapshotters/erofs.md).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.catalog.vocabulary import Layout
from app.errors import ConfigurationError, SpoolExhausted
from app.filelocks import StillHeld, held
from app.oci.digest import DiffID, Digest

_OURS = ".verilayer"
#: Space that filling never takes, in bytes: a full disk stops the node.
RESERVE = 256 << 20


class Record(BaseModel):
    """What was established about an entry when it was made."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    diff_id: DiffID
    layer: Digest
    layout: Layout
    #: Root hash of the file as it lies here; equals ``signed_root_hash`` for device-table.
    root_hash: str
    #: Root hash that the bundle states and, where ``signer`` is set, that was signed.
    bundle_root_hash: str
    #: Offset of the hash tree, and size of the whole file, in bytes.
    hash_offset: int
    size: int
    #: Digest of the bundle's manifest, and its profile.
    bundle: Digest
    profile: str
    #: Subject of the certificate that signed; None: rebuilt from the layer and compared.
    signer: str | None
    #: Seconds since the epoch.
    created: float


class ContentCache:
    """One cache directory; safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        """``root`` is made on first use. Raises ``ConfigurationError`` for a relative path."""
        if not root.is_absolute():
            raise ConfigurationError(
                f"{root} is not absolute", advice="containerd refuses relative cache directories"
            )
        self.root = root
        self._ours = root / _OURS

    def blob(self, diff_id: Digest) -> Path:
        """Where containerd looks for a layer."""
        return self.root / diff_id.algorithm / diff_id.hex[:2] / f"{diff_id.hex}.erofs"

    def sidecar(self, diff_id: Digest) -> Path:
        """Where containerd looks for the layer's root hash."""
        return self.blob(diff_id).with_suffix(".erofs.dmverity")

    def _record(self, diff_id: Digest) -> Path:
        return self._ours / "records" / f"{diff_id.hex}.json"

    def entries(self) -> Iterator[DiffID]:
        """Every blob that containerd would find, in name order."""
        for path in sorted(self.root.glob("sha256/??/*.erofs")):
            with suppress(ValueError):
                yield DiffID("sha256:" + path.stem)

    def record(self, diff_id: Digest) -> Record | None:
        """Return what is known of an entry; None when it is not ours or its record is damaged."""
        try:
            return Record.model_validate_json(self._record(diff_id).read_bytes())
        except (OSError, ValidationError):
            return None

    def complete(self, diff_id: Digest, layout: Layout, *, sidecar: bool) -> Record | None:
        """Return the record of an entry that needs no work, or None."""
        record = self.record(diff_id)
        if record is None or record.diff_id != diff_id or record.layout != layout:
            return None
        try:
            size = self.blob(diff_id).stat().st_size
        except OSError:
            return None
        if size != record.size or (sidecar != self.sidecar(diff_id).exists()):
            return None
        return record

    @contextmanager
    def locked(self, diff_id: Digest) -> Iterator[None]:
        """Hold a layer's lock against other processes and threads."""
        folder = self._ours / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / diff_id.hex[:4]):
            yield

    @contextmanager
    def staging(self, size: int) -> Iterator[Path]:
        """Give a folder on the cache's file system for ``size`` bytes; removed at the end.

        Raises ``SpoolExhausted``. What a crash left behind is removed first.
        """
        base = self._ours / "staging"
        base.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # Between making a folder and holding its lock it would look like an orphan.
            with held(self._ours / "staging.lock"):
                remove_orphans(base)
                free = shutil.disk_usage(base).free - RESERVE
                if size > free:
                    raise SpoolExhausted(
                        f"the layer needs {size} bytes, {self.root} has {max(free, 0)} to spare",
                        advice="run verilayer node prune, or enlarge the disk",
                    )
                folder = Path(tempfile.mkdtemp(dir=base))
                stack.enter_context(held(folder / "lock"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder

    def install(self, staged: Path, record: Record, *, sidecar: bool) -> None:
        """Make a finished file an entry: everything durable first, the blob's name last.

        A blob of another form is taken away before its sidecar changes, so that a blob never
        stands beside a root hash that is not its own.
        """
        blob, metadata = self.blob(record.diff_id), self.sidecar(record.diff_id)
        blob.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        staged.chmod(0o644)
        _sync(staged)
        blob.unlink(missing_ok=True)
        metadata.unlink(missing_ok=True)
        if sidecar:
            text = json.dumps({"roothash": record.root_hash, "hashoffset": record.hash_offset})
            _replace(metadata, text)
        self._record(record.diff_id).parent.mkdir(parents=True, exist_ok=True)
        _replace(self._record(record.diff_id), record.model_dump_json())
        staged.rename(blob)
        _sync(blob.parent)

    def remove(self, diff_id: Digest) -> int:
        """Remove an entry, blob first; returns the bytes freed."""
        blob = self.blob(diff_id)
        size = blob.stat().st_size if blob.exists() else 0
        for path in (blob, self.sidecar(diff_id), self._record(diff_id)):
            path.unlink(missing_ok=True)
        return size


def remove_orphans(base: Path) -> None:
    """Remove staging folders whose process has ended: their lock is free."""
    for folder in base.iterdir():
        with suppress(StillHeld, OSError), held(folder / "lock", wait=0):
            shutil.rmtree(folder, ignore_errors=True)


def _replace(path: Path, text: str) -> None:
    """Write a small file atomically and durably."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o644)
    _sync(temporary)
    temporary.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
