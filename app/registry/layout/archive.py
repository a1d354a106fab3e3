"""An OCI image layout in a tar file, as ``skopeo`` reads and writes it under ``oci-archive:``.

The file is unpacked to a scratch folder, used as any layout, and written anew on closing when
something changed. The same content gives the same bytes.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.errors import RegistryError
from app.oci.digest import Digest
from app.registry.layout.directory import LayoutRegistry
from app.registry.protocols import Coordination

#: Members of one archive; an image has a few hundred at most.
MAX_MEMBERS = 100_000

#: What belongs to a layout. Anything else, such as ``docker save``'s own files, is passed over.
_MEMBER = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/[a-z0-9]{1,32}/[a-f0-9]{32,128})")


class ArchiveRegistry(LayoutRegistry):
    """A tar file as one repository. ``close`` writes changes back and frees the scratch folder."""

    def __init__(
        self, path: Path, coordination: Coordination | None = None, *, create: bool = True
    ) -> None:
        """Unpack an archive; an absent one is made when closing. Raises ``RegistryError``."""
        self._archive = path
        self._changed = False
        self._scratch = Path(tempfile.mkdtemp(prefix="verilayer-oci-"))
        try:
            if path.exists():
                _unpack(path, self._scratch)
            elif not create:
                raise RegistryError(f"{path} does not exist")
            if path.exists() and not (self._scratch / "oci-layout").exists():
                raise RegistryError(f"{path} holds no OCI image layout")
            super().__init__(self._scratch, coordination, create=not path.exists())
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        # An empty layout is not worth a file.
        self._changed = False

    @property
    def host(self) -> str:
        """``oci-archive:FILE``."""
        return f"oci-archive:{self._archive}"

    def close(self) -> None:
        """Write the archive if anything changed. Raises ``RegistryError``."""
        if not self._scratch.exists():
            return
        try:
            if self._changed:
                _pack(self._scratch, self._archive)
        except OSError as error:
            raise RegistryError(f"cannot write {self._archive}: {error}") from error
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """Unlist and remove; absent is not an error."""
        self._changed = True
        super().delete_manifest(repository, digest)

    def _store(self, path: Path, chunks: Iterator[bytes]) -> None:
        self._changed = True
        super()._store(path, chunks)


def _unpack(archive: Path, folder: Path) -> None:
    """Write the layout's files below ``folder``; links, devices and doubled names are refused.

    A tar that is not compressed unpacks to less than its size, so the file itself is the bound.
    """
    seen: set[str] = set()
    try:
        with tarfile.open(archive, "r:") as tar:
            for number, member in enumerate(tar):
                if number >= MAX_MEMBERS:
                    raise RegistryError(f"{archive} has more than {MAX_MEMBERS} members")
                found = _MEMBER.fullmatch(member.name)
                if found is None:
                    continue
                if not member.isreg() or member.issparse() or found[1] in seen:
                    raise RegistryError(
                        f"{archive}: member {member.name!r} is no plain file, or is there twice"
                    )
                seen.add(found[1])
                _extract(tar, member, folder / found[1])
    except (tarfile.TarError, OSError, ValueError) as error:
        raise RegistryError(
            f"cannot read {archive}: {error}", advice="an uncompressed tar is expected"
        ) from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    reader = tar.extractfile(member)
    if reader is None:  # Only of members that are no files.
        raise tarfile.ReadError(f"{member.name} cannot be read")
    path.parent.mkdir(parents=True, exist_ok=True)
    with reader, path.open("xb") as file:
        shutil.copyfileobj(reader, file, 1 << 20)


def _pack(folder: Path, archive: Path) -> None:
    """Write sorted members without times and owners; the file appears only when it is whole."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f".{archive.name[:80]}.{secrets.token_hex(8)}")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    try:
        with tarfile.open(partial, "x", format=tarfile.PAX_FORMAT) as tar:
            for name in names:
                path = folder / name
                member = tarfile.TarInfo(name)
                if path.is_dir():
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(member)
                elif _MEMBER.fullmatch(name):  # Leaves out lock files.
                    member.size = path.stat().st_size
                    with path.open("rb") as file:
                        tar.addfile(member, file)
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)
