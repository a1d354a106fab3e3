"""What verification found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from app.catalog.profiles import ProfileName
from app.oci.digest import Digest

Severity = Literal["error", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (``error``) or worth knowing (``note``), with a stable ``check`` name."""

    check: str
    message: str
    layer: Digest | None = None
    severity: Severity = "error"

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "check": self.check,
            "severity": self.severity,
            "layer": self.layer,
            "message": self.message,
        }


@dataclass(slots=True)
class BundleReport:
    """One bundle of an image; ``digest`` is that of its manifest."""

    profile: ProfileName
    digest: Digest
    #: What the manifest is in its profile: ``bundle``, or a node of a per-layer graph.
    role: str = "bundle"
    #: The layer it is about, where it is about one.
    layer: Digest | None = None
    findings: list[Finding] = field(default_factory=list)
    #: Layer -> root hash that was checked.
    root_hashes: dict[Digest, str] = field(default_factory=dict)
    #: Subjects of the certificates that signed.
    signers: set[str] = field(default_factory=set)

    def error(self, check: str, message: str, layer: Digest | None = None) -> None:
        """Record a failed check."""
        self.findings.append(Finding(check, message, layer))

    def note(self, check: str, message: str, layer: Digest | None = None) -> None:
        """Record something that is no failure."""
        self.findings.append(Finding(check, message, layer, "note"))

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "profile": self.profile,
            "digest": self.digest,
            "role": self.role,
            "layer": self.layer,
            "ok": self.ok,
            "root_hashes": dict(self.root_hashes),
            "signers": sorted(self.signers),
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(slots=True)
class ImageReport:
    """One platform manifest and its bundles."""

    digest: Digest
    platform: str
    layers: int = 0
    bundles: list[BundleReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no check failed, here or in a bundle."""
        return all(f.severity != "error" for f in self.findings) and all(
            bundle.ok for bundle in self.bundles
        )

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "digest": self.digest,
            "platform": self.platform,
            "ok": self.ok,
            "layers": self.layers,
            "findings": [finding.to_json() for finding in self.findings],
            "bundles": [bundle.to_json() for bundle in self.bundles],
        }


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """A reference and everything below it."""

    reference: str
    deep: bool
    images: tuple[ImageReport, ...]

    @property
    def ok(self) -> bool:
        """Whether there was something to check and nothing failed."""
        return bool(self.images) and all(image.ok for image in self.images)

    def failures(self) -> Iterator[tuple[ImageReport, BundleReport | None, Finding]]:
        """Every failed check with where it was."""
        for image in self.images:
            for finding in image.findings:
                if finding.severity == "error":
                    yield image, None, finding
            for bundle in image.bundles:
                for finding in bundle.findings:
                    if finding.severity == "error":
                        yield image, bundle, finding

    @property
    def failing_layers(self) -> list[Digest]:
        """Layers with a failed check, each once."""
        return list(dict.fromkeys(f.layer for _, _, f in self.failures() if f.layer is not None))

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "reference": self.reference,
            "ok": self.ok,
            "deep": self.deep,
            "failing_layers": self.failing_layers,
            "images": [image.to_json() for image in self.images],
        }


def to_text(report: VerificationReport) -> str:
    """Return lines for people; failing layers by name."""
    lines = [f"{report.reference}: {'verified' if report.ok else 'FAILED'}"]
    if not report.images:
        lines.append("  no image was found below this reference")
    for image in report.images:
        lines.append(f"  {image.platform} {image.digest}, {image.layers} layers")
        lines += [f"    {_line(finding)}" for finding in image.findings]
        for bundle in image.bundles:
            verdict = "ok" if bundle.ok else "FAILED"
            lines.append(f"    {bundle.profile} {bundle.digest}: {verdict}")
            lines += [f"      signed by {name}" for name in sorted(bundle.signers)]
            lines += [f"      {_line(finding)}" for finding in bundle.findings]
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    where = f" layer {finding.layer}:" if finding.layer else ""
    mark = "FAILED" if finding.severity == "error" else "note"
    return f"{mark} {finding.check}:{where} {finding.message}"
