"""A graph of per-layer manifests (``rfc-layer``): every role once for every layer, and agreeing.

Each manifest holds one part, so what a single bundle's check compares within itself (the tree with
the index and with the signed root hash) is compared here across the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.catalog.profiles import PROFILES, ProfileName
from app.oci.digest import Digest
from app.oci.images import PlannedLayer
from workers.artifacts.reading import ClaimedLayer
from workers.verification.bundle import BundleReader
from workers.verification.report import BundleReport, Finding


def per_layer_profiles() -> Iterator[ProfileName]:
    """Profiles whose manifests refer to layers."""
    for name, profile in PROFILES.items():
        if not profile.about_image:
            yield name


def graph_findings(
    layers: Sequence[PlannedLayer],
    reports: Sequence[BundleReport],
    expected: Sequence[ProfileName],
) -> Iterator[Finding]:
    """Tell which layers lack a manifest of a graph, or have one twice.

    A layer shared with another image may carry a graph that this image was never given: where
    ``expected`` names other profiles only, a layer without any manifest of it is noted.
    """
    for name in per_layer_profiles():
        ours = [report for report in reports if report.profile == name]
        if not ours and name not in expected:
            continue
        wanted = not expected or name in expected
        roles = [shape.role for shape in PROFILES[name].manifests if shape.subject != "none"]
        for digest in dict.fromkeys(layer.descriptor.digest for layer in layers):
            there = [report.role for report in ours if report.layer == digest]
            if not there and not wanted:
                yield Finding("complete", f"{name}: it has no manifest", digest, "note")
                continue
            yield from _layer(name, digest, roles, there)


def _layer(
    name: ProfileName, digest: Digest, roles: Sequence[str], there: Sequence[str]
) -> Iterator[Finding]:
    for role in roles:
        if role not in there:
            yield Finding("complete", f"{name}: it has no {role} manifest", digest)
        elif PROFILES[name].single and there.count(role) > 1:
            yield Finding("single", f"{name}: {there.count(role)} {role} manifests", digest)


def check_together(readers: Sequence[BundleReader]) -> None:
    """Compare index, tree and root hash of each layer across its manifests.

    Findings go to the tree's manifest. Layers that lack a part or have one twice are left out:
    ``graph_findings`` names them.
    """
    for name in per_layer_profiles():
        by_layer: dict[Digest, list[BundleReader]] = {}
        for reader in readers:
            if reader.report.profile == name and reader.report.layer is not None:
                by_layer.setdefault(reader.report.layer, []).append(reader)
        for digest, ours in by_layer.items():
            _compare(digest, ours)


def _compare(digest: Digest, readers: Sequence[BundleReader]) -> None:
    merged = ClaimedLayer(digest)
    tree: BundleReader | None = None
    for reader in readers:
        layer = reader.claimed.layers.get(digest)
        if layer is None or merged.parts.keys() & layer.parts.keys():
            return
        merged.parts.update(layer.parts)
        merged.facts.update(layer.facts)
        tree = reader if "tree" in layer.parts else tree
    if tree is not None and "index" in merged.parts:
        tree.check_content(merged)
