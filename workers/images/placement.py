"""Where bundles go besides referrers: deterministic tags for readers that know no referrers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.catalog.profiles import ProfileName
from app.config.model import Defaults
from workers.artifacts.compose import Bundle


@dataclass(frozen=True, slots=True)
class Placement:
    """How bundles are placed and replaced."""

    replace: Literal["push-then-delete", "delete-then-push"] = "push-then-delete"
    #: Profile -> suffix of its deterministic tag; profiles not named get no tag.
    tag_suffixes: Mapping[ProfileName, str] = field(default_factory=dict)

    @classmethod
    def from_defaults(cls, defaults: Defaults) -> Placement:
        """Take the placement that the configuration document asks for."""
        return cls(defaults.replace, defaults.tag_suffixes)


def tags_of(bundle: Bundle, placement: Placement) -> tuple[str, ...]:
    """Tags of a bundle: ``sha256-<hex>.<suffix>``, hex of the image or, per layer, of the layer.

    Where a profile publishes several manifests, the role follows: ``….<suffix>.signature``.
    """
    suffix = placement.tag_suffixes.get(bundle.profile)
    about = bundle.layer or bundle.subject
    if suffix is None or about is None:
        return ()
    role = "" if bundle.layer is None else f".{bundle.role}"
    return (f"{about.algorithm}-{about.hex[:64]}.{suffix}{role}",)
