"""Tags whose names are made from a digest: everything we know about them is here. Pure.

::

    sha256-<hex>                     its referrers (distribution-spec, "Referrers Tag Schema")
    sha256-<hex>.sig .att .sbom      cosign's signature, attestation, bill of materials
    sha256-<hex>.<suffix>            our bundle of that image, under the suffix of its profile
    sha256-<hex>.<suffix>.<role>     one of our manifests about that layer, where there are several

The spec replaces the digest's colon by ``-`` and cuts the algorithm at 32 and the hex at 64
characters, so that a sha512 digest gives half of its hex and cannot be told from its tag.

Other names are people's tags. In particular hex that is shorter or longer than 64 characters (no
digest is shorter, the schema cuts what is longer, and cosign's uncut sha512 names would be longer
than the 128 characters a tag may have), uppercase hex (image-spec, "Registered Algorithms": digests
are lowercase), a prefix, and a dot with nothing after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from app.oci.digest import Digest

#: What may be configured as the suffix of a profile. With ``sha512-``, the hex and the longest role
#: a tag stays within 128 characters (distribution-spec, "Pulling manifests").
SUFFIX_PATTERN = r"^[A-Za-z0-9_.-]{1,32}$"

#: Glob of the tags that list referrers, for a registry's own rules about tags.
REFERRERS_GLOB = "sha256-*"

#: Characters of the hex that the schema keeps.
_HEX = 64
_NAME = re.compile(rf"(sha256|sha512)-([0-9a-f]{{{_HEX}}})(?:\.([A-Za-z0-9_.-]+))?\Z")


@dataclass(frozen=True, slots=True)
class DerivedTag:
    """A tag that is about the content its name is made from; ``str()`` gives its name."""

    #: ``sha256`` or ``sha512``.
    algorithm: str
    #: The first 64 hex characters of the digest.
    hex: str
    #: Everything after the first dot, or nothing.
    suffix: str = ""

    @classmethod
    def of(cls, about: Digest, *suffixes: str) -> Self:
        """Return the tag about some content: without suffixes the one of its referrers."""
        return cls(about.algorithm, about.hex[:_HEX], ".".join(suffixes))

    @classmethod
    def parse(cls, tag: str) -> Self | None:
        """Read a tag's name; None when it is not of this kind."""
        found = _NAME.match(tag)
        return cls(found[1], found[2], found[3] or "") if found else None

    @property
    def lists_referrers(self) -> bool:
        """Whether it is the referrers fallback tag, which points at an index of referrers."""
        return not self.suffix

    @property
    def subject(self) -> Digest | None:
        """The digest it is about; None for sha512, whose hex was cut."""
        return Digest(f"sha256:{self.hex}") if self.algorithm == "sha256" else None

    def is_about(self, content: Digest) -> bool:
        """Whether its name is made from this digest."""
        return (self.algorithm, self.hex) == (content.algorithm, content.hex[:_HEX])

    def __str__(self) -> str:
        return f"{self.algorithm}-{self.hex}" + (f".{self.suffix}" if self.suffix else "")
