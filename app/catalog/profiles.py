"""The bundle formats of known readers, as data: a new reader is a row of ``PROFILES``.

A profile says which manifests are made, which parts of a layer they list under which media type,
which annotations name which facts, and what its readers insist on.
``workers.artifacts.compose`` turns it into bytes, ``workers.artifacts.reading`` back into facts;
neither knows a wire name, and nothing tests for the name of a profile. Where the wire names come
from is in docs/profiles.md.

Annotation values are templates over the names that ``workers.artifacts.annotations`` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

#: A key of ``PROFILES``; what configuration accepts is ``app.config.choice.ProfileChoice``.
ProfileName: TypeAlias = str

#: What a manifest's layer entry holds. ``image-layer`` is the image's own layer descriptor.
Content = Literal["index", "tree", "signature", "single-device-signature", "image-layer"]

#: Who a manifest refers to: the image, the layer's own manifest, or nobody.
Subject = Literal["image", "layer-manifest", "none"]


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of ``layers``: its content, media type and annotation templates."""

    content: Content
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManifestShape:
    """One kind of manifest that a profile publishes."""

    artifact_type: str
    parts: tuple[Part, ...]
    subject: Subject = "image"
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: Distinguishes manifests of one profile in tags and reports.
    role: str = "bundle"

    @property
    def contents(self) -> frozenset[Content]:
        """What the entries hold."""
        return frozenset(part.content for part in self.parts)

    def states(self, fact: str) -> bool:
        """Whether an annotation of the manifest or of a part holds this fact."""
        return any(
            "{" + fact + "}" in template
            for annotations in (self.annotations, *(part.annotations for part in self.parts))
            for template in annotations.values()
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A format: its manifests, in the order they are pushed, and what its readers insist on."""

    name: ProfileName
    reader: str
    manifests: tuple[ManifestShape, ...]
    #: Readers refuse content without a signature.
    signed: bool = True
    #: Alignment of the verity data area that readers assume; None: they take what is recorded.
    padding: int | None = None
    #: Readers fail when a subject has two referrers of this type, so an old one must go.
    single: bool = False
    #: Readers choose the newest by ``org.opencontainers.image.created``.
    dated: bool = False
    #: Nobody but this service publishes under these artifact types, so ``prune`` needs no
    #: signature to know whose a bundle is.
    ours: bool = False
    #: Where an image has bundles of several profiles, a node takes the one with the higher number.
    node_preference: int = 0

    @property
    def artifact_types(self) -> frozenset[str]:
        """Every artifact type this profile publishes."""
        return frozenset(shape.artifact_type for shape in self.manifests)

    @property
    def carries_content(self) -> bool:
        """Whether index and tree are published, not signatures alone."""
        return any("tree" in shape.contents for shape in self.manifests)

    @property
    def about_image(self) -> bool:
        """Whether all manifests refer to the image; else they refer to each layer's own one."""
        return all(shape.subject == "image" for shape in self.manifests)

    @property
    def layer_manifest(self) -> ManifestShape | None:
        """Shape of the layer's own manifest, where the profile is a graph below it."""
        return next((shape for shape in self.manifests if shape.subject == "none"), None)

    @property
    def usable_by_nodes(self) -> bool:
        """Whether one manifest about the image gives index, tree and root hash of its layers."""
        return any(
            shape.subject == "image"
            and {"index", "tree"} <= shape.contents
            and shape.states("root_hash")
            for shape in self.manifests
        )

    def states(self, fact: str) -> bool:
        """Whether an annotation names this, a name of ``workers.artifacts.annotations``."""
        return any(shape.states(fact) for shape in self.manifests)


CREATED = "org.opencontainers.image.created"

_CONTAINERD = "application/vnd.containerd.erofs.dmverity.v1"
_INDEX = "application/vnd.containerd.erofs.metadata.v1"
_TREE = "application/vnd.containerd.erofs.dmverity.merkle-tree.v1"
_SIGNATURE = "application/vnd.containerd.erofs.dmverity.layer-signature.v1+pkcs7"
_SOURCE = "io.containerd.erofs.v1/dmverity.source-layer-digest"
_ROOT = "io.containerd.erofs.v1/dmverity.root-hash"

_NOTARY_TREE = "application/vnd.cncf.dmverity.merkle-tree.v1"
_NOTARY_SIGNATURE = "application/vnd.cncf.notary.dmverity.layer-signature+pkcs7"
_NOTARY_SOURCE = {"io.cncf.notary.dmverity.source-layer-digest": "{layer_digest}"}
_NOTARY_SIGNED = {
    "io.cncf.notary.dmverity.layer-digest": "{layer_digest}",
    "io.cncf.notary.dmverity.layer-roothash": "{root_hash}",
    "io.cncf.notary.dmverity.layer-signature": "{signature_base64}",
}

#: Prefix of the facts that ``verilayer`` bundles record (docs/profiles.md has the list).
OURS = "io.verilayer.bundle.v1/"

_VERILAYER_LAYER = {
    _SOURCE: "{layer_digest}",
    OURS + "diff-id": "{diff_id}",
    OURS + "uuid": "{uuid}",
    OURS + "index-layout": "device-table",
    OURS + "entries": "{entries}",
}
_VERILAYER_TREE = {
    _SOURCE: "{layer_digest}",
    _ROOT: "{root_hash}",
    OURS + "single-device.root-hash": "{single_device_root_hash}",
    OURS + "padding": "{padding}",
    OURS + "data-size": "{data_size}",
    OURS + "hash-offset": "{hash_offset}",
}
_VERILAYER_MANIFEST = {
    OURS + "source-manifest": "{subject_digest}",
    OURS + "builder": "erofs-utils",
    OURS + "builder-version": "{builder_version}",
    OURS + "builder-options": "--tar=i --aufs -T0 --mkfs-time",
    OURS + "hash-algorithm": "sha256",
    OURS + "data-block-size": "512",
    OURS + "hash-block-size": "512",
    OURS + "salt": "00" * 32,
}


def _signed(media_type: str, layout: Content = "signature") -> Part:
    device = "single_device_" if layout == "single-device-signature" else ""
    name = "single-device" if device else "device-table"
    return Part(
        layout,
        media_type,
        {
            _SOURCE: "{layer_digest}",
            _ROOT: "{" + device + "root_hash}",
            OURS + "index-layout": name,
        },
    )


def _layer_manifest(role: str, artifact_type: str, part: Part, subject: Subject) -> ManifestShape:
    return ManifestShape(artifact_type, (part,), subject=subject, role=role)


_RFC = "application/vnd.verilayer.image-layer."

PROFILES: Mapping[ProfileName, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "containerd-erofs",
            "containerd's EROFS differ, patched (2026)",
            (
                ManifestShape(
                    _CONTAINERD,
                    (
                        Part("index", _INDEX, {_SOURCE: "{layer_digest}"}),
                        Part("tree", _TREE, {_SOURCE: "{layer_digest}"}),
                        Part(
                            "signature",
                            _SIGNATURE,
                            {_SOURCE: "{layer_digest}", _ROOT: "{root_hash}"},
                        ),
                    ),
                ),
            ),
            padding=512,
            single=True,
            node_preference=2,
        ),
        Profile(
            "azl",
            "Azure Linux containerd2 patch (2026-09)",
            (
                ManifestShape(
                    _CONTAINERD,
                    (
                        Part("index", _INDEX, _NOTARY_SOURCE),
                        Part("tree", _NOTARY_TREE, _NOTARY_SOURCE),
                        Part("signature", _NOTARY_SIGNATURE, _NOTARY_SIGNED),
                    ),
                    annotations={CREATED: "{created}"},
                ),
            ),
            padding=4096,
            dated=True,
        ),
        Profile(
            "notary-tar-index",
            "containerd fork of early 2026",
            (
                ManifestShape(
                    "application/vnd.cncf.notary.dmverity.tar-index.v1",
                    (
                        Part(
                            "index",
                            "application/vnd.cncf.containerd.erofs.tar-index.v1",
                            _NOTARY_SOURCE,
                        ),
                        Part("tree", _NOTARY_TREE, _NOTARY_SOURCE),
                        Part("signature", _NOTARY_SIGNATURE, _NOTARY_SIGNED),
                    ),
                    annotations={CREATED: "{created}"},
                ),
            ),
            padding=512,
            dated=True,
            node_preference=1,
        ),
        Profile(
            "notation",
            "Notary Project proposal (notation pull request 1335)",
            (
                ManifestShape(
                    "application/vnd.cncf.notary.signature.dm-verity",
                    (
                        Part(
                            "signature",
                            "application/pkcs7-signature",
                            {
                                "io.cncf.notary.layer.digest": "{layer_digest}",
                                "io.cncf.notary.dm-verity.root-hash": "{root_hash}",
                                "org.opencontainers.image.title": "layer-{number}.pkcs7.sig",
                            },
                        ),
                    ),
                    annotations={"io.cncf.notary.dm-verity.signature": "true"},
                ),
            ),
        ),
        Profile(
            "tardev",
            "Kata Containers tardev-snapshotter",
            (
                ManifestShape(
                    "application/vnd.oci.mt.pkcs7",
                    (
                        Part(
                            "signature",
                            "application/vnd.oci.image.layer.v1.erofs.sig",
                            {
                                "image.layer.digest": "{layer_digest}",
                                "image.layer.root_hash": "{root_hash}",
                                "image.layer.signature": "{signature_base64}",
                                "signature.blob.name": "signature_for_layer_{layer_hex}.json",
                            },
                        ),
                    ),
                ),
            ),
        ),
        Profile(
            "verilayer",
            "verilayer's node tool",
            (
                ManifestShape(
                    "application/vnd.verilayer.bundle.v1",
                    (
                        Part("index", _INDEX, _VERILAYER_LAYER),
                        Part("tree", _TREE, _VERILAYER_TREE),
                        _signed(_SIGNATURE),
                        _signed(_SIGNATURE, "single-device-signature"),
                    ),
                    annotations=_VERILAYER_MANIFEST,
                ),
            ),
            signed=False,
            single=True,
            ours=True,
            node_preference=3,
        ),
        Profile(
            "rfc-layer",
            "the per-layer graph of containerd issue 12081; no reader yet",
            (
                _layer_manifest("layer", _RFC + "v1", Part("image-layer", ""), "none"),
                _layer_manifest(
                    "signature",
                    _RFC + "signature.v1",
                    Part("signature", _SIGNATURE, {_ROOT: "{root_hash}"}),
                    "layer-manifest",
                ),
                _layer_manifest("ci", _RFC + "ci.v1", Part("tree", _TREE), "layer-manifest"),
                _layer_manifest(
                    "erofs-compatibility",
                    _RFC + "erofs-compatibility.v1",
                    Part("index", _INDEX),
                    "layer-manifest",
                ),
            ),
            single=True,
            ours=True,
        ),
    )
}

#: What is published where neither configuration nor command line says otherwise.
DEFAULT_PROFILE: Final[ProfileName] = "containerd-erofs"
