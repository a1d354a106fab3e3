"""A key in a PEM file, encrypted or not, read again when the files change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import ConfigurationError
from workers.signing.certificates import CertificateChain
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_Stamp = tuple[tuple[int, int, int], ...]


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return PemKey(Path(settings.key), settings.certificate, settings.passphrase)


class PemKey:
    """Key and certificate files. A rotation may replace them one after the other: a pair that does
    not match, or cannot be read, is not taken over until it is whole.
    """

    def __init__(
        self, key: Path, certificate: Path, passphrase: Callable[[], str] | None = None
    ) -> None:
        """Read both now; raises ``ConfigurationError`` when they do not make a pair."""
        self._files = (key, certificate)
        self._passphrase = passphrase
        self._lock = threading.Lock()
        self._stamp: _Stamp = self._stamps()
        self._pair = self._load()

    @property
    def chain(self) -> CertificateChain:
        """Certificate chain, reloaded when a file changed."""
        return self._current()[1]

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        return sign_with(self._current()[0], message)

    def _current(self) -> tuple[PrivateKey, CertificateChain]:
        with self._lock:
            try:
                stamp = self._stamps()
                if stamp != self._stamp:
                    self._pair = self._load()
                    self._stamp = stamp
            except ConfigurationError:
                # Half of a rotation; the pair in memory goes on until the other half is there.
                pass
            return self._pair

    def _stamps(self) -> _Stamp:
        try:
            found = [path.stat() for path in self._files]
        except OSError as error:
            raise ConfigurationError(f"cannot read a signer's file: {error}") from None
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _load(self) -> tuple[PrivateKey, CertificateChain]:
        key_file, certificate_file = self._files
        try:
            chain = CertificateChain.from_pem(certificate_file.read_bytes(), str(certificate_file))
            data = key_file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"cannot read a signer's file: {error}") from None
        secret = self._passphrase().encode() if self._passphrase else None
        try:
            key = load_pem_private_key(data, secret)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{key_file}: not a private key, or not with this passphrase: {error}"
            ) from None
        if not isinstance(key, PrivateKey):
            raise ConfigurationError(f"{key_file}: {type(key).__name__} is neither RSA nor ECDSA")
        if key.public_key() != chain.leaf.public_key():
            raise ConfigurationError(f"{key_file} is not the key of {certificate_file}")
        return key, chain


def sign_with(key: PrivateKey, message: bytes) -> bytes:
    """Sign with a key in memory: RSA PKCS#1 v1.5 or ECDSA, over SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(message, ec.ECDSA(hashes.SHA256()))
