"""Getting built blobs into a repository without building: there already, mounted, or copied."""

from __future__ import annotations

from collections.abc import Iterable

from app.catalog.vocabulary import Reuse
from app.oci.descriptor import Descriptor
from app.registry.protocols import Fetcher, Pusher, Registry
from app.registry.transfer.sources import FileSource
from workers.layers.spool import Spool


def bring(
    registry: Registry,
    repository: str,
    origin: str,
    blobs: Iterable[Descriptor],
    spool: Spool,
) -> Reuse | None:
    """Make ``blobs`` exist in ``repository``; None when one is nowhere: the record is stale.

    ``origin`` is the repository that they were pushed to. Where the registry does not mount, they
    are downloaded into the spool and uploaded. Raises registry errors.
    """
    how: Reuse = "reused"
    for blob in blobs:
        if registry.blob_exists(repository, blob.digest):
            continue
        if origin == repository or not registry.blob_exists(origin, blob.digest):
            return None
        if registry.mount_blob(repository, blob.digest, origin):
            how = "mounted" if how == "reused" else how
        else:
            copy_blob(registry, origin, registry, repository, blob, spool)
            how = "copied"
    return how


def copy_blob(
    source: Fetcher,
    source_repository: str,
    target: Pusher,
    repository: str,
    blob: Descriptor,
    spool: Spool,
) -> None:
    """Download a blob into the spool and upload it, unless it is there. Raises registry errors."""
    if target.blob_exists(repository, blob.digest):
        return
    with spool.reserve(blob.size) as lease:
        file = lease.create("copy")
        with source.fetch_blob(source_repository, blob) as chunks:
            for chunk in chunks:
                file.append(chunk)
        target.push_blob(repository, blob, FileSource(file.path))
