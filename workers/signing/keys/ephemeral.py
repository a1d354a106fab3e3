"""A key made on first use and kept in the state folder: to try things out, not for production."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.filelocks import held
from workers.signing.certificates import utc_now
from workers.signing.keys.pem import PemKey, PrivateKey
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

_LIFETIME = timedelta(days=365)


def open_key(settings: KeySettings) -> Key:
    """Open ``state_dir/keys/<name>.key`` and ``.crt``, making them first where they are absent."""
    name, folder = settings.name, settings.state_dir / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file, certificate_file = folder / f"{name}.key", folder / f"{name}.crt"
    with held(folder / ".lock"):
        if not certificate_file.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            certificate = self_signed(key, f"verilayer {name} (ephemeral)", utc_now())
            _write(key_file, private_pem(key), 0o600)
            _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return PemKey(key_file, certificate_file)


def self_signed(
    key: PrivateKey, common_name: str, now: datetime, lifetime: timedelta = _LIFETIME
) -> x509.Certificate:
    """Make a self-signed code signing certificate; not a CA."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def private_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Serialise a key as PKCS#8 PEM, encrypted when a passphrase is given."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
