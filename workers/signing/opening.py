"""From configuration to signers; what cannot sign is found at start, not at the first push."""

from __future__ import annotations

import importlib
from pathlib import Path

from app.catalog.signers import SIGNERS
from app.config.model import ServiceConfig, SignerConfig
from app.config.secrets import Secret
from app.errors import ConfigurationError
from app.observability.metrics import CERTIFICATE_DAYS_LEFT
from workers.signing.audit import AuditLog
from workers.signing.authority import SigningAuthority
from workers.signing.keys.settings import KeySettings
from workers.signing.seals import EvidenceSeals
from workers.signing.signer import Key, Pkcs7Signer


def open_authority(
    config: ServiceConfig, state_dir: Path, seals: EvidenceSeals
) -> SigningAuthority:
    """Open every configured signer and the audit log ``state_dir/audit.jsonl``.

    ``seals`` are those of the workers whose records are to be signed. Raises
    ``ConfigurationError`` or ``SigningRefused`` for a signer that cannot sign today.
    """
    signers = {each.name: open_signer(each, state_dir) for each in config.signers}
    return SigningAuthority(config, signers, AuditLog(state_dir / "audit.jsonl"), seals)


def open_signer(config: SignerConfig, state_dir: Path) -> Pkcs7Signer:
    """Open one signer and check its certificate (period, usage, key).

    Raises ``ConfigurationError`` for settings or files, ``SigningRefused`` for the certificate and
    ``SignerUnavailable`` when the key's keeper does not answer.
    """
    signer = Pkcs7Signer(
        name=config.name,
        key=_open_key(config, state_dir),
        embed_certificate=config.embed_certificate,
        allow_ecdsa=config.allow_ecdsa,
    )
    signer.check()
    CERTIFICATE_DAYS_LEFT.labels(config.name).set(signer.chain.days_left(signer.now()))
    return signer


def _open_key(config: SignerConfig, state_dir: Path) -> Key:
    kind, what = SIGNERS[config.kind], f"signer {config.name}"
    if kind.certificate and config.certificate is None:
        raise ConfigurationError(f"{what}: certificate is missing")
    if kind.key and not config.key:
        raise ConfigurationError(f"{what}: key is missing")
    settings = KeySettings(
        name=config.name,
        key=config.key or "",
        certificate=Path(config.certificate or ""),
        passphrase=Secret(config.passphrase, f"{what}: passphrase").value
        if config.passphrase
        else None,
        command=config.command,
        options=config.options,
        state_dir=state_dir,
    )
    try:
        module = importlib.import_module(f"workers.signing.keys.{kind.module}")
    except ImportError as error:
        if kind.extra is None:
            raise
        raise ConfigurationError(
            f"{what}: {error}", advice=f"pip install 'verilayer[{kind.extra}]'"
        ) from None
    key: Key = module.open_key(settings)
    return key
