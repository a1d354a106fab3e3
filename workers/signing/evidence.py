"""Evidence: recorded facts of a layer that were held against what an image claims of it.

Only evidence is signed, and ``evidence_of`` is the one place where a record becomes evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.vocabulary import Layout
from app.config.model import BuildConfig
from app.errors import SigningRefused
from app.facts import LayerFacts
from app.oci.digest import DiffID, Digest
from app.oci.images import PlannedLayer
from workers.layers.identity import erofs_uuid
from workers.signing.seals import EvidenceSeals


@dataclass(frozen=True, slots=True)
class LayerEvidence:
    """What was read and built is what the image claims, under the options in force."""

    facts: LayerFacts

    @property
    def layer(self) -> Digest:
        """Digest of the layer's blob."""
        return self.facts.layer_digest

    @property
    def diff_id(self) -> DiffID:
        """Digest of the layer's tar."""
        return self.facts.diff_id

    def root_hash(self, layout: Layout) -> str:
        """Root hash of a layout; raises ``SigningRefused`` where none was recorded."""
        single = layout == "single-device"
        root = self.facts.single_device_root_hash if single else self.facts.root_hash
        if root is None:
            raise SigningRefused(f"layer {self.layer} has no recorded root hash of {layout}")
        return root


def evidence_of(
    recorded: LayerFacts, planned: PlannedLayer, build: BuildConfig, seals: EvidenceSeals
) -> LayerEvidence:
    """Hold what was recorded of a layer against what manifest, config and options claim of it.

    The record must bear the seal of a worker. Raises ``SigningRefused`` with ``layer``, ``reason``,
    ``recorded`` and ``claimed`` for the first difference.
    """
    layer = planned.descriptor
    if not seals.hold(recorded):
        raise SigningRefused(
            f"the record of layer {layer.digest} does not bear the seal of a worker",
            advice="all workers need the same evidence key (docs/security.md)",
            layer=layer.digest,
            reason="seal",
            recorded=recorded.seal,
            claimed="",
        )
    for reason, found, claimed in (
        ("layer-digest", recorded.layer_digest, layer.digest),
        ("layer-size", recorded.layer_size, layer.size),
        ("diff-id", recorded.diff_id, planned.diff_id),
        ("uuid", recorded.uuid, str(erofs_uuid(layer.digest))),
        ("builder-version", recorded.builder_version, build.builder_version),
        ("padding", recorded.padding, build.padding),
    ):
        if found != claimed:
            raise SigningRefused(
                f"layer {layer.digest} was not what was read: "
                f"recorded is {reason} {found}, claimed is {claimed}",
                advice="convert the image again with force: its layers are then built again",
                layer=layer.digest,
                reason=reason,
                recorded=found,
                claimed=claimed,
            )
    return LayerEvidence(recorded)
