"""Opening what commands name: ``host/repository:tag``, or an OCI image layout.

A layout is a folder, ``oci:DIR[:tag]``, or a tar file, ``oci-archive:FILE[:tag]``; ``oci:`` means
the latter too where a file is named, or a name that ends in ``.tar``.

A registry that the configuration file knows is opened as configured; any other as its reference
says, with the credentials of the Docker configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.config.file import load_config
from app.config.model import CredentialsConfig, RegistryConfig, ServiceConfig
from app.errors import ConfigurationError
from app.oci.reference import Reference, check_tag
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.layout.archive import ArchiveRegistry
from app.registry.layout.directory import LayoutRegistry
from app.registry.protocols import Coordination, Registry
from app.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Place:
    """A repository of an opened registry, and what in it is meant."""

    repository: Repository
    #: Tag or digest.
    target: str

    def close(self) -> None:
        """Close the registry."""
        self.repository.registry.close()


def configuration(path: Path | None) -> ServiceConfig:
    """Read the configuration file, or return an empty one when none is named."""
    return load_config(path) if path is not None else ServiceConfig()


def open_place(
    text: str,
    config: ServiceConfig,
    *,
    plain_http: bool = False,
    create: bool = False,
    locks: Path | None = None,
) -> Place:
    """Open what a reference names; raises ``ConfigurationError`` for one that cannot be read.

    ``create`` makes an OCI layout where there is none. ``locks`` is a folder that processes share
    which attach to one subject, so that one waits for the other.
    """
    coordination = LocalCoordination(locks)
    scheme, _, rest = text.partition(":")
    if scheme in ("oci", "oci-archive"):
        path, target = _layout(rest)
        archive = scheme == "oci-archive" or path.is_file() or path.suffix == ".tar"
        layout = _open_layout(path, coordination, archive=archive, create=create)
        return Place(Repository(layout, "layout"), target)
    try:
        reference = Reference.parse(text)
    except ValueError as error:
        raise ConfigurationError(str(error), advice="write host/repository:tag") from None
    known = next((r for r in config.registries if r.reference_host == reference.registry), None)
    registry = open_registry(known or _ad_hoc(reference.registry, plain_http), coordination)
    return Place(Repository(registry, reference.repository), reference.target)


def _open_layout(
    path: Path, coordination: Coordination, *, archive: bool, create: bool
) -> Registry:
    if archive:
        if not create and not path.is_file():
            raise ConfigurationError(f"there is no file {path}")
        return ArchiveRegistry(path, coordination, create=create)
    if not create and not (path / "oci-layout").exists():
        raise ConfigurationError(f"{path} is not an OCI image layout")
    return LayoutRegistry(path, coordination, create=create)


def _layout(rest: str) -> tuple[Path, str]:
    folder, at, digest = rest.partition("@")
    if at:
        return Path(folder), digest
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        return Path(rest), "latest"
    try:
        return Path(head), check_tag(tag)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _ad_hoc(host: str, plain_http: bool) -> RegistryConfig:
    name = host.partition(":")[0]
    local = name in ("localhost", "127.0.0.1", "[")
    # Whoever types an address means it: private ones are refused only where others choose them.
    return RegistryConfig(
        id="named",
        url=f"{'http' if plain_http or local else 'https'}://{host}",
        credentials=CredentialsConfig(kind="docker-config"),
        allow_private_addresses=True,
    )
