"""Which cache entries containerd's snapshots still need.

A snapshot records the path of its cache entry as the label ``io.containerd.erofs.v1/blob.ref`` in
the snapshotter's ``metadata.db`` (containerd 2.4.0 to 2.4.2; pre-releases made a symbolic link
``layer.erofs`` instead). The metadata of an image may be gone while a container still runs from its
layers; the snapshotter's own database knows that.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.errors import ConfigurationError, Unavailable
from app.oci.digest import DiffID
from workers.node import boltfile

#: Where containerd's snapshotter keeps its state, unless ``root_path`` says otherwise.
DEFAULT_SNAPSHOTTER = Path("/var/lib/containerd/io.containerd.snapshotter.v1.erofs")
_ENTRY = re.compile(rb"/sha256/[0-9a-f]{2}/([0-9a-f]{64})\.erofs\Z")
_ATTEMPTS = 20


def referenced(snapshotters: Sequence[Path]) -> set[DiffID]:
    """Layers that any snapshot of these snapshotter directories needs.

    Raises ``ConfigurationError`` where there is no snapshotter or its database is none,
    ``Unavailable`` when that changes faster than it can be read.
    """
    found: set[DiffID] = set()
    for root in snapshotters:
        database = root / "metadata.db"
        if not database.is_file():
            raise ConfigurationError(
                f"{root} is no directory of containerd's EROFS snapshotter",
                advice="give its root_path with --snapshotter",
            )
        found |= set(_layers(_values(database)))
        found |= set(_layers(_links(root / "snapshots")))
    return found


def _values(database: Path) -> list[bytes]:
    for attempt in range(_ATTEMPTS):
        try:
            return boltfile.values(database)
        except boltfile.Changed:
            time.sleep(0.05 * (attempt + 1))
        except (boltfile.NotBolt, OSError) as error:
            raise ConfigurationError(
                f"cannot read {database}: {error}", advice="nothing is removed; see docs/nodes.md"
            ) from None
    raise Unavailable(f"{database} changes faster than it can be read", advice="try again later")


def _links(snapshots: Path) -> Iterator[bytes]:
    for snapshot in snapshots.glob("*"):
        link = snapshot / "layer.erofs"
        if link.is_symlink():  # its target may be away just now
            yield os.fsencode(os.readlink(link))


def _layers(paths: Sequence[bytes] | Iterator[bytes]) -> Iterator[DiffID]:
    for path in paths:
        if match := _ENTRY.search(path):
            yield DiffID("sha256:" + match[1].decode())
