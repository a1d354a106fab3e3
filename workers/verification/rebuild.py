"""The deep check: fetch a layer again, build it again, compare every byte by digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import get_args

from app.catalog.vocabulary import Padding
from app.config.model import BuildConfig
from app.errors import ContentMismatch, NotFound, SourceInvalid
from app.facts import LayerFacts
from app.oci.digest import Digest
from app.oci.images import ImagePlan, PlannedLayer
from app.registry.repository import Fetcher
from workers.layers.built import LayerOptions
from workers.layers.remote import build_remote_layer, layer_options
from workers.layers.spool import Spool
from workers.verification.bundle import BundleReader

#: As annotations write them.
_PADDINGS = {str(size) for size in get_args(Padding)}

_Key = tuple[Digest, str, int]


@dataclass(slots=True)
class Rebuild:
    """Rebuilds each layer once per builder version and padding, however many bundles carry it."""

    repository: Fetcher
    build: BuildConfig
    spool: Spool
    #: Asked now and then while a layer is built; True makes it raise ``Cancelled``.
    cancelled: Callable[[], bool] = lambda: False
    _done: dict[_Key, LayerFacts | str] = field(default_factory=dict)

    def compare(self, plan: ImagePlan, bundle: BundleReader) -> None:
        """Compare a bundle's indexes, trees and root hashes with a rebuild."""
        for planned in bundle.layers:
            digest = planned.descriptor.digest
            claimed = bundle.claimed.layers.get(digest)
            if claimed is None:
                continue
            options = self._options(bundle, planned)
            rebuilt = self._rebuilt(planned, options)
            report = bundle.report
            if isinstance(rebuilt, str):
                report.error("rebuild", rebuilt, digest)
                continue
            for content, expected in (
                ("index", rebuilt.index_digest),
                ("tree", rebuilt.tree_digest),
            ):
                part = claimed.parts.get("index" if content == "index" else "tree")
                if part is not None and part.digest != expected:
                    report.error(
                        "rebuild",
                        f"the {content} is {part.digest}, a rebuild with erofs-utils "
                        f"{options.builder_version} gives {expected}",
                        digest,
                    )
            for fact, expected_root in (
                ("root_hash", rebuilt.root_hash),
                ("single_device_root_hash", rebuilt.single_device_root_hash),
            ):
                root = claimed.facts.get(fact)
                if root is not None and root != expected_root:
                    report.error(
                        "rebuild", f"{fact} is {root}, a rebuild gives {expected_root}", digest
                    )

    def _options(self, bundle: BundleReader, planned: PlannedLayer) -> LayerOptions:
        facts = bundle.claimed.facts
        claimed = bundle.claimed.layers[planned.descriptor.digest].facts
        padding = bundle.claimed.profile.padding or self.build.padding
        if claimed.get("padding") in _PADDINGS:
            padding = int(claimed["padding"])
        return replace(
            layer_options(self.build, planned.descriptor),
            padding=padding,
            builder_version=facts.get("builder_version", self.build.builder_version),
        )

    def _rebuilt(self, planned: PlannedLayer, options: LayerOptions) -> LayerFacts | str:
        """What a bundle must equal, or why the layer cannot be built."""
        key = (planned.descriptor.digest, options.builder_version, options.padding)
        if key not in self._done:
            self._done[key] = self._run(planned, options)
        return self._done[key]

    def _run(self, planned: PlannedLayer, options: LayerOptions) -> LayerFacts | str:
        try:
            built = build_remote_layer(
                self.repository,
                planned.descriptor,
                planned.diff_id,
                options,
                self.spool,
                cancelled=self.cancelled,
            )
        except (SourceInvalid, ContentMismatch, NotFound, ValueError) as error:
            return f"it cannot be rebuilt: {error}"
        with built:
            return built.facts
