"""References ``host[:port]/repository[:tag][@digest]`` (distribution-spec, "Pulling manifests").

Unlike Docker, nothing is guessed: a reference without a registry is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from app.oci.digest import Digest

#: Docker Hub in references, in Docker's credentials, and where its registry answers.
DOCKER_HUB = "docker.io"
DOCKER_HUB_INDEX = "index.docker.io"
DOCKER_HUB_REGISTRY = "registry-1.docker.io"

REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z"
)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?\Z"
)


def check_repository(name: str) -> str:
    """Return ``name`` when it is a repository name; raises ``ValueError``."""
    if len(name) > 255 or not REPOSITORY.match(name):
        raise ValueError(f"not a repository name: {name[:300]!r}")
    return name


def check_tag(name: str) -> str:
    """Return ``name`` when it is a tag; raises ``ValueError``."""
    if not TAG.match(name):
        raise ValueError(f"not a tag: {name[:200]!r}")
    return name


@dataclass(frozen=True, slots=True)
class Reference:
    """A manifest by registry host, repository and tag or digest (the digest wins)."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse; raises ``ValueError`` that says which part is wrong."""
        rest, at, digest = text.partition("@")
        host, slash, path = rest.partition("/")
        if (
            not slash
            or not _HOST.match(host)
            or not ("." in host or ":" in host or host == "localhost")
        ):
            raise ValueError(f"reference has no registry host: {text[:300]!r}")
        name, colon, tag = path.partition(":")
        return cls(
            registry=host,
            repository=check_repository(name),
            tag=check_tag(tag) if colon else None,
            digest=Digest(digest) if at else None,
        )

    @property
    def target(self) -> str:
        """What to ask the registry for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"
