"""Finds the bundles of a reference and checks them; ``rebuild`` adds the deep comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.catalog.profiles import PROFILES, ProfileName
from app.errors import ContentMismatch, NotConvertible, NotFound, ResponseInvalid, SourceInvalid
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.oci.images import Found, ImagePlan, plan_image, walk
from app.oci.manifest import (
    MAX_CONFIG_BYTES,
    Manifest,
    parse_image_config,
    parse_manifest,
)
from app.registry.repository import Repository
from workers.artifacts.compose import layer_manifests
from workers.artifacts.reading import profiles_of, read_bundle
from workers.verification.bundle import BundleReader
from workers.verification.graph import check_together, graph_findings
from workers.verification.report import BundleReport, Finding, ImageReport, VerificationReport
from workers.verification.trust import Trust

#: What is listed, not yet checked, and its manifest if that can be read.
_Listed = tuple[BundleReport, Manifest | None]


class LayerComparison(Protocol):
    """Compares what bundles say of a layer with a rebuild of it."""

    def compare(self, plan: ImagePlan, bundle: BundleReader) -> None:
        """Add findings to ``bundle.report``."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What to check against."""

    trust: Trust = field(default_factory=Trust)
    #: Profiles that must be there; none named: at least one bundle of any.
    expected: tuple[ProfileName, ...] = ()
    #: Refuse unsigned bundles of profiles that allow them.
    signatures_required: bool = False
    #: Pass over bundles of other profiles than those expected.
    only_expected: bool = False


def verify_reference(
    repository: Repository,
    reference: str,
    options: Options,
    comparison: LayerComparison | None = None,
) -> VerificationReport:
    """Verify every image below a tag or digest. Registry errors other than absence propagate."""
    root = repository.fetch_manifest(reference)
    images = tuple(
        _verify_image(repository, found, options, comparison)
        for found in walk(root, repository.fetch_manifest)
        if isinstance(found, Found)
    )
    text = f"{repository}@{reference}" if ":" in reference else f"{repository}:{reference}"
    return VerificationReport(text, comparison is not None, images)


def _verify_image(
    repository: Repository,
    found: Found,
    options: Options,
    comparison: LayerComparison | None,
) -> ImageReport:
    report = ImageReport(found.manifest.digest, str(found.platform or "unknown"))
    try:
        data = repository.read_blob(found.parsed.config, max_bytes=MAX_CONFIG_BYTES)
        plan = plan_image(found.manifest, parse_image_config(data))
    except (NotConvertible, SourceInvalid, NotFound, ContentMismatch) as error:
        report.findings.append(Finding("image", error.message))
        return report
    report.platform, report.layers = str(plan.platform), len(plan.layers)
    readers = []
    for bundle, manifest in _bundles(repository, plan):
        if options.only_expected and bundle.profile not in options.expected:
            continue
        report.bundles.append(bundle)
        if manifest is None:
            bundle.error("manifest", "it is listed, but cannot be read")
            continue
        claimed = read_bundle(manifest, bundle.profile, about=bundle.layer)
        layers = tuple(
            layer
            for layer in plan.layers
            if bundle.layer is None or layer.descriptor.digest == bundle.layer
        )
        reader = BundleReader(repository, claimed, layers, bundle, options.trust)
        reader.check(plan.subject, manifest, options.signatures_required)
        readers.append(reader)
        if comparison is not None and PROFILES[bundle.profile].carries_content:
            comparison.compare(plan, reader)
    check_together(readers)
    report.findings += _image_findings(report, options.expected)
    report.findings += graph_findings(plan.layers, report.bundles, options.expected)
    return report


def _bundles(repository: Repository, plan: ImagePlan) -> Iterator[_Listed]:
    """Every bundle of an image."""
    subject = plan.subject.digest
    known = {kind for profile in PROFILES.values() for kind in profile.artifact_types}
    for referrer in repository.list_referrers(subject):
        if referrer.artifact_type in known:
            yield from _read(repository, referrer, None)
    for layer in {layer.descriptor.digest: layer.descriptor for layer in plan.layers}.values():
        for own in layer_manifests(layer).values():
            for referrer in repository.list_referrers(own.digest):
                if referrer.artifact_type in known:
                    yield from _read(repository, referrer, layer.digest)


def _read(repository: Repository, referrer: Descriptor, layer: Digest | None) -> Iterator[_Listed]:
    manifest: Manifest | None = None
    try:
        parsed = parse_manifest(repository.fetch_manifest(referrer.digest))
    except (NotFound, ContentMismatch, SourceInvalid, ResponseInvalid):
        # Listed, but not to be had: its reader would fail, so it is reported under its type.
        names = _names(referrer.artifact_type)
    else:
        manifest = parsed if isinstance(parsed, Manifest) else None
        names = profiles_of(manifest) if manifest else []
    for name in names[:1]:
        shapes = PROFILES[name].manifests
        kind = manifest.artifact_type if manifest else referrer.artifact_type
        role = next(shape.role for shape in shapes if shape.artifact_type == kind)
        yield BundleReport(name, referrer.digest, role, layer), manifest


def _names(artifact_type: str | None) -> list[ProfileName]:
    return [name for name, profile in PROFILES.items() if artifact_type in profile.artifact_types]


def _image_findings(report: ImageReport, expected: Sequence[ProfileName]) -> Iterator[Finding]:
    present = [bundle.profile for bundle in report.bundles]
    if not present and not expected:
        yield Finding("bundle", "no bundle is attached")
    for name in expected:
        if name not in present:
            yield Finding("bundle", f"no bundle of profile {name} is attached")
    for name in dict.fromkeys(present):
        digests = [bundle.digest for bundle in report.bundles if bundle.profile == name]
        several = PROFILES[name].single and PROFILES[name].about_image
        if several and len(digests) > 1:
            yield Finding(
                "single",
                f"{len(digests)} bundles of {name}, its readers fail on more than one: "
                + ", ".join(digests),
            )
    types = {kind for name in present for kind in PROFILES[name].artifact_types}
    for kind in sorted(types):
        sharing = [n for n in dict.fromkeys(present) if kind in PROFILES[n].artifact_types]
        if len(sharing) > 1:
            yield Finding("single", f"{' and '.join(sharing)} both use {kind}")
