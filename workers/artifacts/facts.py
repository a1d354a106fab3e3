"""The facts of a converted layer, by the names that annotation templates use."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from app.oci.descriptor import Descriptor
from workers.artifacts.materialization import LayerMaterialization


def layer_facts(layer: LayerMaterialization, number: int) -> dict[str, str]:
    """Facts of the layer at position ``number`` (lowest is 0); absent facts are left out."""
    facts = {
        "number": str(number),
        "layer_digest": str(layer.layer.digest),
        "layer_hex": layer.layer.digest.hex,
        "diff_id": str(layer.diff_id),
        "uuid": layer.uuid,
        "builder_version": layer.builder_version,
        "padding": str(layer.padding),
        "data_size": str(layer.data_size),
        "hash_offset": str(layer.hash_offset),
        "entries": str(layer.entries),
        "root_hash": layer.root.root_hash,
    }
    if layer.root.signature is not None:
        facts["signature_base64"] = base64.b64encode(layer.root.signature).decode()
    if layer.single_device is not None:
        facts["single_device_root_hash"] = layer.single_device.root_hash
    return facts


def image_facts(subject: Descriptor, builder_version: str, created: str) -> dict[str, str]:
    """Facts that hold for the whole image."""
    return {
        "subject_digest": str(subject.digest),
        "builder_version": builder_version,
        "created": created,
    }


def fill(templates: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str]:
    """Annotations in key order; one whose facts are absent is left out."""
    filled = {}
    for name, template in sorted(templates.items()):
        try:
            filled[name] = template.format_map(facts)
        except KeyError:
            continue
    return filled
