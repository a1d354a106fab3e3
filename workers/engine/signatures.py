"""Signs root hashes for a job, once per key and root hash.

A signature made before is kept in Redis and checked before it is used again, so that a push that
changes nothing costs no call to a key service and no line in the audit log. Which key may sign, and
whether the facts are those of the image's layer, is asked of the authority every time.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from redis import Redis

from app.jobs.keys import key
from app.jobs.records import Job
from app.jobs.scripts import broker_errors
from workers.engine.context import WorkerConfiguration, WorkerContext
from workers.signing.authority import ImageSigner, Purpose
from workers.signing.signer import RootHashSigner, signature_problems

#: Seconds a signature is kept after its last use.
_KEEP = 30 * 86400


def image_signer(
    context: WorkerContext, active: WorkerConfiguration, job: Job, single_device: bool
) -> ImageSigner:
    """Return what signs the layers of a job's image."""
    purpose = Purpose(
        registry=job.registry,
        repository=job.repository,
        tag=job.tag,
        image=job.digest,
        job=job.id,
        actor="verilayer",
        reason=job.source,
    )
    kept = SignaturesInRedis(context.engine.redis)
    return ImageSigner(active.authority, purpose, single_device, kept)


@dataclass(frozen=True, slots=True)
class SignaturesInRedis:
    """``KeptSignatures`` that all workers share."""

    redis: Redis

    def get(self, signer: RootHashSigner, root_hash: str) -> bytes | None:
        """Return a signature that verifies with the signer's certificate of today."""
        with broker_errors("reading a signature"):
            kept = self.redis.getex(_name(signer, root_hash), ex=_KEEP)
        if not isinstance(kept, str):
            return None
        try:
            signature = base64.b64decode(kept, validate=True)
        except binascii.Error:
            return None
        return None if signature_problems(signature, root_hash, signer.chain) else signature

    def put(self, signer: RootHashSigner, root_hash: str, signature: bytes) -> None:
        """Keep a signature for a month after its last use."""
        with broker_errors("keeping a signature"):
            encoded = base64.b64encode(signature).decode()
            self.redis.set(_name(signer, root_hash), encoded, ex=_KEEP)


def _name(signer: RootHashSigner, root_hash: str) -> str:
    embed = getattr(signer, "embed_certificate", True)
    return key("signature", signer.chain.fingerprint, int(embed), root_hash)
