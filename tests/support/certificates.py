"""Keys and certificates for tests; RSA keys are made once per process, they are slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from workers.signing.keys.ephemeral import private_pem
from workers.signing.keys.pem import PrivateKey

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """The process's RSA key of this size and number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(curve: str = "p256") -> ec.EllipticCurvePrivateKey:
    """The process's key on a curve: p256, p384 or p521."""
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[curve])


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(
        self,
        folder: Path,
        *,
        name: str = "signer",
        passphrase: bytes | None = None,
        chain: Sequence[Identity] = (),
    ) -> tuple[Path, Path]:
        """Write ``<name>.key`` and ``<name>.crt`` (leaf first) and return their paths."""
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        key.write_bytes(private_pem(self.key, passphrase))
        certificate.write_bytes(self.pem + b"".join(each.pem for each in chain))
        return key, certificate


def identity(
    name: str = "test signer",
    *,
    key: PrivateKey | None = None,
    issuer: Identity | None = None,
    ca: bool = False,
    usages: Sequence[x509.ObjectIdentifier] = (CODE_SIGNING,),
    starts: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=30),
    path_length: int | None = None,
) -> Identity:
    """Make an identity; self-signed without an issuer."""
    private = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC).replace(microsecond=0)
    signer = issuer.key if issuer else private
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(
            x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    usage = x509.KeyUsage(
        digital_signature=not ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = builder.add_extension(usage, critical=True)
    return Identity(private, builder.sign(signer, hashes.SHA256()))
