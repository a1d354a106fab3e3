"""From configuration to signers; what cannot sign is found at start, not at the first push."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.config.model import ServiceConfig, SignerConfig
from app.config.secrets import Secret
from app.errors import ConfigurationError
from app.observability.metrics import CERTIFICATE_DAYS_LEFT
from workers.signing.audit import AuditLog
from workers.signing.authority import SigningAuthority
from workers.signing.certificates import CertificateChain
from workers.signing.signer import Key, Pkcs7Signer


def open_authority(config: ServiceConfig, state_dir: Path) -> SigningAuthority:
    """Open every configured signer and the audit log ``state_dir/audit.jsonl``.

    Raises ``ConfigurationError`` or ``SigningRefused`` for a signer that cannot sign today.
    """
    signers = {each.name: open_signer(each, state_dir) for each in config.signers}
    return SigningAuthority(config, signers, AuditLog(state_dir / "audit.jsonl"))


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
    what = f"signer {config.name}"
    if config.kind == "ephemeral":
        from workers.signing.keys.ephemeral import open_ephemeral

        return open_ephemeral(config.name, state_dir)
    if config.certificate is None:
        raise ConfigurationError(f"{what}: certificate is missing")
    certificate = Path(config.certificate)
    passphrase = (
        Secret(config.passphrase, f"{what}: passphrase").value if config.passphrase else None
    )
    if config.kind == "pem":
        from workers.signing.keys.pem import PemKey

        return PemKey(Path(_key_of(config)), certificate, passphrase)
    try:
        return _open_remote(config, certificate, passphrase)
    except ImportError as error:
        raise ConfigurationError(
            f"{what}: {error}", advice=f"pip install 'verilayer[{config.kind}]'"
        ) from None


def _open_remote(
    config: SignerConfig, certificate: Path, passphrase: Callable[[], str] | None
) -> Key:
    """Open a key that never leaves its keeper; each keeper's library is an optional extra."""
    chain = ChainFile(certificate)
    match config.kind:
        case "command":
            from workers.signing.keys.command import CommandKey

            return CommandKey(config.command, chain, _seconds(config))
        case "pkcs11":
            from workers.signing.keys.pkcs11 import Pkcs11Key

            return Pkcs11Key(_key_of(config), chain, config.options, passphrase)
        case "vault":
            from workers.signing.keys.vault import VaultKey

            return VaultKey(_key_of(config), chain, config.options, passphrase)
        case "aws-kms":
            from workers.signing.keys.aws_kms import AwsKmsKey

            return AwsKmsKey(_key_of(config), chain, config.options)
        case "azure-kms":
            from workers.signing.keys.azure_kms import AzureKmsKey

            return AzureKmsKey(_key_of(config), chain, config.options)
        case "gcp-kms":
            from workers.signing.keys.gcp_kms import GcpKmsKey

            return GcpKmsKey(_key_of(config), chain, config.options)
    raise ConfigurationError(f"signer {config.name}: unknown kind {config.kind}")


class ChainFile:
    """A PEM chain, read again when the file changes; an unreadable new one is not taken over."""

    def __init__(self, path: Path) -> None:
        """Read it now; raises ``ConfigurationError``."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._chain = self._load()

    def __call__(self) -> CertificateChain:
        """Return the current chain."""
        # Half of a rotation cannot be read: go on with what is in memory.
        with suppress(ConfigurationError):
            self._chain = self._load()
        return self._chain

    def _load(self) -> CertificateChain:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return self._chain
            chain = CertificateChain.from_pem(self._path.read_bytes(), str(self._path))
        except OSError as error:
            raise ConfigurationError(f"cannot read a certificate: {error}") from None
        self._stamp = stamp
        return chain


def _key_of(config: SignerConfig) -> str:
    if not config.key:
        raise ConfigurationError(f"signer {config.name}: key is missing")
    return config.key


def _seconds(config: SignerConfig) -> float:
    try:
        return float(config.options.get("timeout", "30"))
    except ValueError:
        raise ConfigurationError(f"signer {config.name}: option timeout is no number") from None
