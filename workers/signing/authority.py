"""Who may sign what: rules bind repositories to keys, evidence binds signatures to bytes read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.catalog.vocabulary import Layout
from app.config.model import ServiceConfig
from app.errors import SigningError, SigningRefused
from app.facts import LayerFacts
from app.observability.metrics import CERTIFICATE_DAYS_LEFT, SIGNATURES
from app.oci.digest import Digest
from app.oci.images import PlannedLayer
from workers.artifacts.signed import SignedLayer
from workers.signing.audit import AuditLog
from workers.signing.certificates import CertificateChain, utc_now
from workers.signing.evidence import LayerEvidence, evidence_of
from workers.signing.seals import EvidenceSeals
from workers.signing.signer import RootHashSigner


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
        self,
        config: ServiceConfig,
        signers: Mapping[str, RootHashSigner],
        audit: AuditLog,
        seals: EvidenceSeals,
    ) -> None:
        """``signers`` by name; all that rules and defaults name must be there."""
        self._config = config
        self._signers = signers
        self._audit = audit
        self.seals = seals

    def signer_for(self, registry: str, repository: str, tag: str | None) -> RootHashSigner | None:
        """Return the signer bound to a push, or None: it is published unsigned where allowed."""
        rule = self._config.match(registry, repository, tag)
        name = (rule.signer if rule else None) or self._config.defaults.signer
        return self._signers[name] if rule and rule.action == "convert" and name else None

    def chains(self) -> tuple[CertificateChain, ...]:
        """Return the certificates of all configured signers, bound to a repository or not."""
        return tuple(signer.chain for signer in self._signers.values())

    def evidence(
        self, recorded: LayerFacts, planned: PlannedLayer, purpose: Purpose
    ) -> LayerEvidence:
        """Hold what was recorded of a layer against the image's plan; signed or not, it must agree.

        Raises ``SigningRefused``, once the audit log has it.
        """
        try:
            return evidence_of(recorded, planned, self._config.build, self.seals)
        except SigningRefused as error:
            signer = self.signer_for(purpose.registry, purpose.repository, purpose.tag)
            name = signer.name if signer else ""
            SIGNATURES.labels(name, "refused").inc()
            difference = {each: error.details[each] for each in ("reason", "recorded", "claimed")}
            self._audit.append(
                {
                    "event": "refused",
                    "signer": name,
                    "layer": planned.descriptor.digest,
                    **_of(purpose),
                    "difference": difference,
                }
            )
            raise

    def sign(self, evidence: LayerEvidence, layout: Layout, purpose: Purpose) -> bytes:
        """Sign the root hash of a layout; the audit entry is durable before the signature is out.

        Raises ``SigningRefused`` when no key is bound or the certificate is unfit.
        """
        signer = self.signer_for(purpose.registry, purpose.repository, purpose.tag)
        if signer is None:
            raise SigningRefused(
                f"no key is bound to {purpose.registry}/{purpose.repository}",
                advice="name a signer in the rule or in defaults",
            )
        root_hash = evidence.root_hash(layout)
        try:
            signature = signer.sign(root_hash)
            chain = signer.chain
            self._audit.append(
                {
                    "event": "signed",
                    "signer": signer.name,
                    "certificate": chain.fingerprint,
                    "subject": chain.leaf.subject.rfc4514_string(),
                    "root_hash": root_hash,
                    "layout": layout,
                    "layer": evidence.layer,
                    "diff_id": evidence.diff_id,
                    **_of(purpose),
                    "signature": Digest.of(signature),
                }
            )
        except SigningError as error:
            refused = isinstance(error, SigningRefused)
            SIGNATURES.labels(signer.name, "refused" if refused else "failed").inc()
            raise
        SIGNATURES.labels(signer.name, "signed").inc()
        CERTIFICATE_DAYS_LEFT.labels(signer.name).set(chain.days_left(utc_now()))
        return signature


def _of(purpose: Purpose) -> dict[str, object]:
    return {
        "image": purpose.image,
        "registry": purpose.registry,
        "repository": purpose.repository,
        "tag": purpose.tag,
        "job": purpose.job,
        "actor": purpose.actor,
        "reason": purpose.reason,
    }


class KeptSignatures(Protocol):
    """Signatures made before, by key and root hash."""

    def get(self, signer: RootHashSigner, root_hash: str) -> bytes | None:
        """Return one that the signer's certificate still verifies."""
        ...

    def put(self, signer: RootHashSigner, root_hash: str, signature: bytes) -> None:
        """Keep one."""
        ...


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """Signs the layers of one image; leaves them unsigned where no key is bound."""

    authority: SigningAuthority
    purpose: Purpose
    #: Whether the root hash of the ``single-device`` layout is signed, too.
    single_device: bool
    kept: KeptSignatures | None = None

    def sign(self, recorded: LayerFacts, planned: PlannedLayer) -> SignedLayer:
        """Bring a planned layer, what was recorded of it and its signatures together.

        Raises ``SigningRefused`` and ``SignerUnavailable``.
        """
        evidence = self.authority.evidence(recorded, planned, self.purpose)
        return SignedLayer(
            planned.descriptor,
            evidence.facts,
            self._signature(evidence, "device-table"),
            self._signature(evidence, "single-device") if self.single_device else None,
        )

    @property
    def key(self) -> RootHashSigner | None:
        """The key that is bound to the image's repository, if any."""
        purpose = self.purpose
        return self.authority.signer_for(purpose.registry, purpose.repository, purpose.tag)

    def _signature(self, evidence: LayerEvidence, layout: Layout) -> bytes | None:
        key, root_hash = self.key, evidence.root_hash(layout)
        if key is None:
            return None
        if self.kept is None:
            return self.authority.sign(evidence, layout, self.purpose)
        signature = self.kept.get(key, root_hash)
        if signature is None:
            signature = self.authority.sign(evidence, layout, self.purpose)
            self.kept.put(key, root_hash, signature)
        return signature
