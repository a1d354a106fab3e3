"""Where bundles go besides referrers: deterministic tags for readers that know no referrers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.catalog.profiles import ProfileName
from app.catalog.vocabulary import ReplaceOrder
from app.config.model import Defaults
from app.oci.derived_tags import DerivedTag
from workers.artifacts.compose import Bundle


@dataclass(frozen=True, slots=True)
class Placement:
    """How bundles are placed and replaced."""

    replace: ReplaceOrder = "push-then-delete"
    #: Profile -> suffix of its deterministic tag; profiles not named get no tag.
    tag_suffixes: Mapping[ProfileName, str] = field(default_factory=dict)

    @classmethod
    def from_defaults(cls, defaults: Defaults) -> Placement:
        """Take the placement that the configuration document asks for."""
        return cls(defaults.replace, defaults.tag_suffixes)


def tags_of(bundle: Bundle, placement: Placement) -> tuple[str, ...]:
    """Tags of a bundle, named by its image or, where each layer has its own, by its layer.

    A profile that publishes several manifests about a layer tells them apart by their roles.
    """
    suffix = placement.tag_suffixes.get(bundle.profile)
    about = bundle.layer or bundle.subject
    if suffix is None or about is None:
        return ()
    role = () if bundle.layer is None else (bundle.role,)
    return (str(DerivedTag.of(about, suffix, *role)),)
