"""Answers a verification that someone asked for over the admin API.

The anchors are the certificates of the signer that the configuration binds to the repository.
"""

from __future__ import annotations

import structlog

from app.errors import BrokerUnavailable, VerilayerError
from app.jobs.requests import VerificationRequest, Verifications
from workers.engine.context import WorkerContext
from workers.verification.rebuild import Rebuild
from workers.verification.report import VerificationReport
from workers.verification.trust import Trust
from workers.verification.verify import Options, verify_reference

log = structlog.get_logger(__name__)


def run_verification(context: WorkerContext, verification_id: str) -> None:
    """Check and store the report; a check that cannot be made ends ``failed`` with its code."""
    verifications = Verifications(context.engine.redis)
    wanted = verifications.get(verification_id)
    if wanted is None or wanted.state in ("done", "failed"):
        return
    wanted = verifications.change(wanted, state="running")
    try:
        report = _verify(context, wanted)
    except BrokerUnavailable:
        raise
    except VerilayerError as error:
        verifications.change(wanted, state="failed", error=error.code, detail=str(error))
        return
    verifications.change(wanted, state="done", ok=report.ok, report=report.to_json())
    log.info("verification.done", verification=wanted.id, ok=report.ok)


def _verify(context: WorkerContext, wanted: VerificationRequest) -> VerificationReport:
    active = context.current()
    repository = context.repository(active.registry(wanted.registry), wanted.repository)
    tag = None if ":" in wanted.reference else wanted.reference
    signer = active.authority.signer_for(wanted.registry, wanted.repository, tag)
    chain = signer.chain if signer is not None else None
    anchors = () if chain is None else (chain.leaf, *chain.intermediates)
    rebuild = Rebuild(repository, active.config.build, context.spool)
    return verify_reference(
        repository,
        wanted.reference,
        Options(trust=Trust(anchors)),
        rebuild if wanted.deep else None,
    )
