"""How particular registries deviate from the distribution spec; see docs/registries.md.

What an operator configures wins; for well-known hosts the defaults differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from app.catalog.vocabulary import ContentRange, ReferrersForm, Upload
from app.config.model import QuirksConfig
from app.oci.reference import DOCKER_HUB_REGISTRY


@dataclass(frozen=True, slots=True)
class Quirks:
    """What the client does differently. ``chunk_bytes`` is the size of a PATCH."""

    upload: Upload = "monolithic"
    chunk_bytes: int = 4 << 20
    content_range: ContentRange = "plain"
    referrers: ReferrersForm = "auto"
    upload_hosts: frozenset[str] = frozenset()
    auth_hosts: frozenset[str] = frozenset()


#: Host glob -> what is known of it. GHCR refuses request bodies above 4 MiB.
KNOWN: dict[str, Quirks] = {
    "ghcr.io": Quirks(upload="chunked"),
    DOCKER_HUB_REGISTRY: Quirks(auth_hosts=frozenset({"auth.docker.io"})),
    "registry.gitlab.com": Quirks(auth_hosts=frozenset({"gitlab.com"})),
}


def quirks_for(host: str, config: QuirksConfig) -> Quirks:
    """Return the known quirks of a host (without port), overridden by what is configured."""
    known = next((q for glob, q in KNOWN.items() if fnmatchcase(host, glob)), Quirks())
    given = config.model_fields_set
    return replace(
        known,
        upload=config.upload if "upload" in given else known.upload,
        chunk_bytes=config.chunk_bytes if "chunk_bytes" in given else known.chunk_bytes,
        content_range=config.content_range if "content_range" in given else known.content_range,
        referrers=config.referrers if "referrers" in given else known.referrers,
        upload_hosts=known.upload_hosts | frozenset(config.upload_hosts),
        auth_hosts=known.auth_hosts | frozenset(config.auth_hosts),
    )
