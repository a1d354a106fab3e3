"""Converts what a reference names here and now: no broker, no ledger, the same image code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from app.catalog.profiles import ProfileName
from app.config.model import ServiceConfig
from app.errors import NotConvertible, VerilayerError
from app.facts import LayerFacts
from app.oci.digest import DiffID, Digest
from app.oci.images import ImagePlan, Skipped, walk
from app.oci.manifest import RawManifest
from app.registry.repository import Repository
from workers.artifacts.combinations import check_combination
from workers.artifacts.compose import compose_all, wants_single_device
from workers.images.copying import Copier
from workers.images.lossless import check_lossless
from workers.images.plan import plan_of
from workers.images.publication import Placement, Published, publish
from workers.layers.remote import build_remote_layer, layer_options, push_built
from workers.layers.spool import Spool
from workers.signing.authority import ImageSigner, Purpose, SigningAuthority


@dataclass(frozen=True, slots=True)
class ConversionOptions:
    """What to do with each image."""

    config: ServiceConfig
    profiles: tuple[ProfileName, ...]
    platforms: tuple[str, ...] = ()
    dry_run: bool = False
    force: bool = False
    actor: str = "cli"


class ProgressListener(Protocol):
    """Hears how far the work has come."""

    def image(self, digest: Digest, platform: str, layers: int) -> None:
        """An image begins."""
        ...

    def layer(self, digest: Digest, done: int, size: int) -> None:
        """Bytes of a layer have been read."""
        ...


@dataclass(slots=True)
class Outcome:
    """What became of one manifest below the reference."""

    digest: Digest
    platform: str
    state: Literal["attached", "present", "built", "skipped", "failed"]
    reason: str = ""
    message: str = ""
    layers: list[dict[str, Any]] = field(default_factory=list)
    bundles: list[Published] = field(default_factory=list)
    seconds: float = 0.0
    error: VerilayerError | None = None


class InlineConversion:
    """One run over one reference."""

    def __init__(
        self,
        source: Repository,
        target: Repository,
        authority: SigningAuthority,
        spool: Spool,
        options: ConversionOptions,
        watcher: ProgressListener,
    ) -> None:
        self._source = source
        self._target = target
        self._authority = authority
        self._spool = spool
        self._options = options
        self._watcher = watcher
        self._copier = Copier(source, target, spool, attached=False)
        self._built: dict[tuple[Digest, DiffID], tuple[LayerFacts, float]] = {}

    def run(self, reference: str) -> Iterator[Outcome]:
        """Convert every image below a tag or digest, one after the other.

        An image's own failure is an outcome; raises registry errors for the reference itself.
        """
        source, target = self._source, self._target
        raw = source.fetch_manifest(reference)
        copying = source != target and not self._options.dry_run
        tag = None if ":" in reference else reference
        for one in walk(raw, source.fetch_manifest):
            platform = str(one.platform or "")
            if isinstance(one, Skipped):
                if copying:
                    # An index must not name what is not there.
                    self._copier.manifest(source.fetch_manifest(one.digest))
                yield Outcome(one.digest, platform, "skipped", one.reason, one.message)
                continue
            if not self._wanted(platform):
                yield Outcome(one.manifest.digest, platform, "skipped", "platform")
                continue
            if copying:
                self._copier.manifest(one.manifest)
            yield self._converted(one.manifest, platform, tag)
        if copying:
            target.push_manifest(raw, tag)

    def _wanted(self, platform: str) -> bool:
        globs = self._options.platforms
        return not globs or not platform or any(fnmatchcase(platform, one) for one in globs)

    def _converted(self, raw: RawManifest, platform: str, tag: str | None) -> Outcome:
        started = time.perf_counter()
        outcome = Outcome(raw.digest, platform, "built")
        try:
            self._convert(raw, outcome, tag)
        except NotConvertible as error:
            outcome.state, outcome.reason, outcome.message = "skipped", error.reason, error.message
        except VerilayerError as error:
            outcome.state, outcome.reason, outcome.message = "failed", error.code, str(error)
            outcome.error = error
        outcome.seconds = round(time.perf_counter() - started, 3)
        return outcome

    def _convert(self, raw: RawManifest, outcome: Outcome, tag: str | None) -> None:
        plan = plan_of(self._source, raw)
        outcome.platform = str(plan.platform)
        if not self._wanted(outcome.platform):
            raise NotConvertible("platform", f"{outcome.platform} was not asked for")
        build = self._options.config.build
        signer = self._signer(plan, tag)
        signed = signer.key is not None
        check_combination(self._options.profiles, padding=build.padding, signed=signed)
        self._watcher.image(raw.digest, outcome.platform, len(plan.layers))
        facts = {
            one.descriptor.digest: self._layer(plan, number, outcome)
            for number, one in enumerate(plan.layers)
        }
        check_lossless(plan, facts, build.allow_lossy)
        if self._options.dry_run:
            return
        layers = [signer.sign(facts[one.descriptor.digest], one) for one in plan.layers]
        outcome.bundles = publish(
            self._target,
            compose_all(self._options.profiles, plan.subject, layers),
            placement=Placement.from_defaults(self._options.config.defaults),
            force=self._options.force,
        )
        new = any(one.action in ("attached", "replaced") for one in outcome.bundles)
        outcome.state = "attached" if new else "present"

    def _layer(self, plan: ImagePlan, number: int, outcome: Outcome) -> LayerFacts:
        planned = plan.layers[number]
        layer = planned.descriptor
        # The claimed diffID is part of it, so that an image that lies about a layer fails alone.
        key = layer.digest, planned.diff_id
        known = self._built.get(key)
        if known is None:
            known = self._built[key] = self._build(plan, number)
        facts, seconds = known
        outcome.layers.append(
            {
                "layer_digest": layer.digest,
                "diff_id": planned.diff_id,
                "size": layer.size,
                "index_digest": facts.index_digest,
                "index_size": facts.index_size,
                "tree_digest": facts.tree_digest,
                "tree_size": facts.tree_size,
                "root_hash": facts.root_hash,
                "entries": facts.entries,
                "warnings": list(facts.warnings),
                "seconds": round(seconds, 3),
            }
        )
        return facts

    def _build(self, plan: ImagePlan, number: int) -> tuple[LayerFacts, float]:
        started = time.perf_counter()
        planned = plan.layers[number]
        with build_remote_layer(
            self._source,
            planned.descriptor,
            planned.diff_id,
            layer_options(self._options.config.build, planned.descriptor),
            self._spool,
            progress=lambda _, done, size: self._watcher.layer(
                planned.descriptor.digest, done, size
            ),
        ) as built:
            if not self._options.dry_run:
                push_built(self._target, built)
        facts = self._authority.seals.sealed(built.facts)
        return facts, time.perf_counter() - started

    def _signer(self, plan: ImagePlan, tag: str | None) -> ImageSigner:
        purpose = Purpose(
            registry=self._target.registry.id,
            repository=self._target.name,
            tag=tag,
            image=plan.subject.digest,
            job="inline",
            actor=self._options.actor,
            reason="convert",
        )
        return ImageSigner(self._authority, purpose, wants_single_device(self._options.profiles))
