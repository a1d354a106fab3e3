"""Filling the cache for one image: plan, choose a bundle, write the layers that are missing."""

from __future__ import annotations

import platform as machine
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.catalog.vocabulary import Layout, TrustPolicy
from app.errors import Cancelled, NotConvertible, SourceInvalid, VerilayerError
from app.oci.descriptor import Platform
from app.oci.digest import Digest
from app.oci.images import Found, ImagePlan, plan_image, walk
from app.oci.manifest import MAX_CONFIG_BYTES, parse_image_config
from app.oci.reference import Reference
from app.registry.repository import Repository
from workers.node.bundles import ChosenBundle, LayerClaim, choose_bundle
from workers.node.cache import ContentCache, Record
from workers.node.filling import LayerFilling
from workers.verification.trust import Trust

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}
#: containerd asks this before it lets a sidecar into a mount.
DM_VERITY = Path("/sys/module/dm_verity")


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How a cache is filled."""

    trust: Trust = field(default_factory=Trust)
    policy: TrustPolicy = "require-signed"
    layout: Layout = "single-device"
    #: Write ``.dmverity``: containerd then mounts through dm-verity, and fails without it.
    sidecar: bool = False
    platform: str = ""
    parallel: int = 3


@dataclass(frozen=True, slots=True)
class LayerOutcome:
    """What became of one layer; sizes in bytes, ``seconds`` of wall clock."""

    layer: Digest
    diff_id: Digest
    action: Literal["filled", "present", "failed"]
    size: int = 0
    fetched: int = 0
    seconds: float = 0.0
    signer: str | None = None
    error: VerilayerError | None = None


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What became of one image; without ``bundle`` its pull works as without this tool."""

    reference: str
    manifest: Digest
    bundle: Digest | None
    profile: str | None
    layers: tuple[LayerOutcome, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no layer failed."""
        return all(layer.error is None for layer in self.layers)

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "reference": self.reference,
            "manifest": self.manifest,
            "bundle": self.bundle,
            "profile": self.profile,
            "ok": self.ok,
            "layers": [
                {
                    "layer": each.layer,
                    "diff_id": each.diff_id,
                    "action": each.action,
                    "size": each.size,
                    "fetched": each.fetched,
                    "seconds": round(each.seconds, 3),
                    "signer": each.signer,
                    "error": None if each.error is None else str(each.error),
                }
                for each in self.layers
            ],
        }


def this_platform() -> str:
    """The platform of this machine as images name it, such as ``linux/amd64``."""
    name = machine.machine()
    return f"linux/{_ARCHITECTURES.get(name, name)}"


def fetch_image(
    repository: Repository,
    reference: Reference,
    cache: ContentCache,
    options: FetchOptions,
    cancelled: Callable[[], bool] = lambda: False,
) -> FetchReport:
    """Make every layer of an image an entry of ``cache``; layers that are there are left alone.

    ``repository`` is that of ``reference``, opened.
    A layer that fails is reported and does not stop the others. Raises ``VerificationFailed`` when
    no bundle may be used, ``NotConvertible``, ``SourceInvalid`` and registry errors.
    """
    plan = plan_reference(repository, reference, options.platform or this_platform())
    held = _held(plan, cache, options)
    if held is not None:
        return FetchReport(str(reference), plan.subject.digest, held[0].bundle, held[0].profile,
                           tuple(_present(record) for record in held))  # fmt: skip
    bundle = choose_bundle(repository, plan, options.trust, options.policy)
    if bundle is None:
        return FetchReport(str(reference), plan.subject.digest, None, None)
    job = _Job(repository, cache, options, bundle, cancelled)
    with ThreadPoolExecutor(options.parallel, "layer") as pool:
        outcomes = tuple(pool.map(job.layer, bundle.layers))
    return FetchReport(str(reference), plan.subject.digest, bundle.digest, bundle.profile, outcomes)


def plan_reference(repository: Repository, reference: Reference, platform: str) -> ImagePlan:
    """Resolve a reference to the image for one platform. Raises ``NotConvertible`` without any."""
    top = repository.fetch_manifest(reference.target)
    for found in walk(top, repository.fetch_manifest):
        if not isinstance(found, Found):
            continue
        if found.platform is not None and not _fits(found.platform, platform):
            continue
        config = parse_image_config(
            repository.read_blob(found.parsed.config, max_bytes=MAX_CONFIG_BYTES)
        )
        if found.platform is not None or found.manifest is top or _fits(config.platform, platform):
            return plan_image(found.manifest, config)
    raise NotConvertible("not-an-image", f"{reference} has no image for {platform}")


def _fits(offered: Platform, wanted: str) -> bool:
    name = str(offered)
    return name == wanted or name.startswith(wanted + "/") or wanted.startswith(name + "/")


def _held(plan: ImagePlan, cache: ContentCache, options: FetchOptions) -> list[Record] | None:
    """Records of all layers when all are there as the options want them, else None."""
    records = []
    for planned in plan.layers:
        record = cache.complete(planned.diff_id, options.layout, sidecar=options.sidecar)
        if record is None or not _acceptable(record, options):
            return None
        records.append(record)
    return records


def _acceptable(record: Record, options: FetchOptions) -> bool:
    return record.signer is not None or options.policy == "prefer-signed"


def _present(record: Record) -> LayerOutcome:
    return LayerOutcome(
        record.layer, record.diff_id, "present", size=record.size, signer=record.signer
    )


@dataclass(frozen=True, slots=True)
class _Job:
    repository: Repository
    cache: ContentCache
    options: FetchOptions
    bundle: ChosenBundle
    cancelled: Callable[[], bool]

    def layer(self, claim: LayerClaim) -> LayerOutcome:
        planned = claim.planned
        started = time.monotonic()
        try:
            with self.cache.locked(planned.diff_id):
                return self._locked(claim, started)
        except Cancelled:
            raise
        except (VerilayerError, OSError) as error:
            known = error if isinstance(error, VerilayerError) else SourceInvalid(str(error))
            return LayerOutcome(
                planned.descriptor.digest, planned.diff_id, "failed", error=known,
                seconds=time.monotonic() - started,
            )  # fmt: skip

    def _locked(self, claim: LayerClaim, started: float) -> LayerOutcome:
        planned, options = claim.planned, self.options
        record = self.cache.complete(planned.diff_id, options.layout, sidecar=options.sidecar)
        if record is not None and _acceptable(record, options):
            return _present(record)
        filling = LayerFilling(self.repository, claim, options.layout, self.cancelled)
        # The tree is 1/15 of the data, and lies there twice until the file is complete.
        with self.cache.staging(17 * claim.tree.size + claim.index.size) as folder:
            path = filling.write(folder)
            record = Record(
                diff_id=planned.diff_id,
                layer=planned.descriptor.digest,
                layout=options.layout,
                root_hash=filling.root_hash,
                bundle_root_hash=claim.root_hash,
                hash_offset=filling.hash_offset,
                size=path.stat().st_size,
                bundle=self.bundle.digest,
                profile=self.bundle.profile,
                signer=claim.signer,
                created=time.time(),
            )
            self.cache.install(path, record, sidecar=options.sidecar)
        return LayerOutcome(
            record.layer, record.diff_id, "filled", record.size, filling.fetched,
            time.monotonic() - started, record.signer,
        )  # fmt: skip
