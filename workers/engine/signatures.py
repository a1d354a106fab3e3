"""Signs root hashes for a job, once per key and root hash.

A signature made before is kept in Redis and checked before it is used again, so that a push that
changes nothing costs no call to a key service and no line in the audit log. Which key may sign is
asked of the authority every time.
"""

from __future__ import annotations

import base64
import binascii

from app.jobs.keys import key
from app.jobs.records import Job
from app.jobs.scripts import broker_errors
from workers.artifacts.materialization import SignedRoot
from workers.engine.context import InForce, WorkerContext
from workers.images.image import Sign
from workers.signing.authority import Purpose, RootEvidence
from workers.signing.signer import signature_problems

#: Seconds a signature is kept after its last use.
_KEEP = 30 * 86400


def signing(context: WorkerContext, force: InForce, job: Job) -> Sign:
    """Return how root hashes are signed for a job; unsigned where no key is bound."""
    signer = force.authority.signer_for(job.registry, job.repository, job.tag)
    purpose = Purpose(
        registry=job.registry,
        repository=job.repository,
        tag=job.tag,
        image=job.digest,
        job=job.id,
        actor="verilayer",
        reason=job.source,
    )
    redis = context.engine.redis

    def sign(evidence: RootEvidence) -> SignedRoot:
        if signer is None:
            return SignedRoot(evidence.root_hash)
        chain = signer.chain
        embed = getattr(signer, "embed_certificate", True)
        name = key("signature", chain.fingerprint, int(embed), evidence.root_hash)
        with broker_errors("reading a signature"):
            kept = redis.getex(name, ex=_KEEP)
        if isinstance(kept, str):
            try:
                signature = base64.b64decode(kept, validate=True)
            except binascii.Error:
                signature = b""
            if not signature_problems(signature, evidence.root_hash, chain):
                return SignedRoot(evidence.root_hash, signature)
        signed = force.authority.sign(evidence, purpose)
        if signed.signature is not None:
            with broker_errors("keeping a signature"):
                redis.set(name, base64.b64encode(signed.signature).decode(), ex=_KEEP)
        return signed

    return sign
