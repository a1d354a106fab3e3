"""Who may sign what: rules bind repositories to keys, evidence binds signatures to bytes read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from app.config.model import ServiceConfig
from app.errors import SigningError, SigningRefused
from app.observability.metrics import CERTIFICATE_DAYS_LEFT, SIGNATURES
from app.oci.descriptor import Descriptor
from app.oci.digest import DiffID, Digest
from workers.artifacts.materialization import SignedRoot
from workers.signing.audit import AuditLog
from workers.signing.certificates import utc_now
from workers.signing.signer import RootHashSigner


class VerifiedBuild(Protocol):
    """What is needed of a built layer: digests of the bytes that were read, and its root hashes."""

    @property
    def blob_digest(self) -> Digest:
        """Digest of the blob's bytes as they were read."""
        ...

    @property
    def layer_digest(self) -> Digest:
        """Digest that the UUIDs were derived from."""
        ...

    @property
    def diff_id(self) -> DiffID:
        """Digest of the tar's bytes."""
        ...

    @property
    def root_hash(self) -> str:
        """Root hash in device-table layout."""
        ...

    @property
    def single_device_root_hash(self) -> str:
        """Root hash in single-device layout."""
        ...


@dataclass(frozen=True, slots=True)
class RootEvidence:
    """A root hash together with the verified bytes it was computed from."""

    layer: Digest
    diff_id: DiffID
    root_hash: str
    layout: str

    @classmethod
    def of(cls, built: VerifiedBuild, layer: Descriptor, diff_id: DiffID) -> Self:
        """Take the root hash of a layer built in this job.

        ``layer`` and ``diff_id`` are what manifest and config claim; raises ``SigningRefused`` when
        the bytes read were others.
        """
        cls._check(built, layer, diff_id)
        return cls(layer.digest, diff_id, built.root_hash, "device-table")

    @classmethod
    def of_single_device(cls, built: VerifiedBuild, layer: Descriptor, diff_id: DiffID) -> Self:
        """Take the root hash of the single-device layout instead."""
        cls._check(built, layer, diff_id)
        return cls(layer.digest, diff_id, built.single_device_root_hash, "single-device")

    @staticmethod
    def _check(built: VerifiedBuild, layer: Descriptor, diff_id: DiffID) -> None:
        read = (built.blob_digest, built.layer_digest, built.diff_id)
        if read != (layer.digest, layer.digest, diff_id):
            raise SigningRefused(
                f"layer {layer.digest} with diffID {diff_id} was not what was read: "
                f"{built.blob_digest} with diffID {built.diff_id}"
            )


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a signature is made; all of it goes to the audit log."""

    registry: str
    repository: str
    tag: str | None
    #: Digest of the platform manifest.
    image: Digest
    job: str
    #: Who asked: a webhook's actor, an admin token's name, a CLI user.
    actor: str
    reason: str


class SigningAuthority:
    """Signs root hashes with the key that the rules bind to a repository; logs each signature."""

    def __init__(
        self, config: ServiceConfig, signers: Mapping[str, RootHashSigner], audit: AuditLog
    ) -> None:
        """``signers`` by name; all that rules and defaults name must be there."""
        self._config = config
        self._signers = signers
        self._audit = audit

    def signer_for(self, registry: str, repository: str, tag: str | None) -> RootHashSigner | None:
        """Return the signer bound to a push, or None: it is published unsigned where allowed."""
        rule = self._config.match(registry, repository, tag)
        name = (rule.signer if rule else None) or self._config.defaults.signer
        return self._signers[name] if rule and rule.action == "convert" and name else None

    def sign(self, evidence: RootEvidence, purpose: Purpose) -> SignedRoot:
        """Sign the evidence's root hash; the audit entry is durable before the signature is out.

        Raises ``SigningRefused`` when no key is bound or the certificate is unfit.
        """
        signer = self.signer_for(purpose.registry, purpose.repository, purpose.tag)
        if signer is None:
            raise SigningRefused(
                f"no key is bound to {purpose.registry}/{purpose.repository}",
                advice="name a signer in the rule or in defaults",
            )
        try:
            signature = signer.sign(evidence.root_hash)
            chain = signer.chain
            self._audit.append(
                {
                    "event": "signed",
                    "signer": signer.name,
                    "certificate": chain.fingerprint,
                    "subject": chain.leaf.subject.rfc4514_string(),
                    "root_hash": evidence.root_hash,
                    "layout": evidence.layout,
                    "layer": evidence.layer,
                    "diff_id": evidence.diff_id,
                    "image": purpose.image,
                    "registry": purpose.registry,
                    "repository": purpose.repository,
                    "tag": purpose.tag,
                    "job": purpose.job,
                    "actor": purpose.actor,
                    "reason": purpose.reason,
                    "signature": Digest.of(signature),
                }
            )
        except SigningError as error:
            outcome = "refused" if isinstance(error, SigningRefused) else "failed"
            SIGNATURES.labels(signer.name, outcome).inc()
            raise
        SIGNATURES.labels(signer.name, "signed").inc()
        CERTIFICATE_DAYS_LEFT.labels(signer.name).set(chain.days_left(utc_now()))
        return SignedRoot(evidence.root_hash, signature)
