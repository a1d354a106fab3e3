"""Annotations: a profile's templates, filled from a signed layer or for an image.

The names in templates are the fields of ``LayerFacts`` and those that the functions here add.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields

from app.oci.descriptor import Descriptor
from workers.artifacts.signed import SignedLayer


def layer_annotations(
    templates: Mapping[str, str], layer: SignedLayer, number: int
) -> dict[str, str]:
    """Annotations of a part of the layer at position ``number`` (lowest is 0)."""
    facts, signature = layer.facts, layer.signature
    return _fill(
        templates,
        {
            **{each.name: getattr(facts, each.name) for each in fields(facts)},
            "number": number,
            "layer_hex": facts.layer_digest.hex,
            "signature_base64": base64.b64encode(signature).decode() if signature else None,
        },
    )


def image_annotations(
    templates: Mapping[str, str], subject: Descriptor, builder_version: str, created: str
) -> dict[str, str]:
    """Annotations of a manifest that refers to ``subject``."""
    return _fill(
        templates,
        {
            "subject_digest": subject.digest,
            "builder_version": builder_version,
            "created": created,
        },
    )


def _fill(templates: Mapping[str, str], facts: Mapping[str, object]) -> dict[str, str]:
    """Annotations in key order; one with a fact that is absent or None is left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    filled = {}
    for name, template in sorted(templates.items()):
        try:
            filled[name] = template.format_map(known)
        except KeyError:
            continue
    return filled
