"""A key in a PKCS#11 token, named by an RFC 7512 URI: ``pkcs11:token=signing;object=key-1``."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import pkcs11
from pkcs11 import KeyType, Mechanism, ObjectClass

from app.errors import ConfigurationError, SignerUnavailable, SigningRefused
from workers.signing.certificates import CertificateChain
from workers.signing.keys.outcome import dss_der
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

#: Scheme of the URIs (RFC 7512, section 2.3).
_SCHEME = "pkcs11:"
_REFUSED = (
    pkcs11.exceptions.PinIncorrect,
    pkcs11.exceptions.PinLocked,
    pkcs11.exceptions.NoSuchKey,
    pkcs11.exceptions.MultipleObjectsReturned,
)


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    return Pkcs11Key(settings.key, settings.chain(), settings.options, settings.passphrase)


class Pkcs11Key:
    """One session per process, opened on first use and again after a failure or a fork."""

    def __init__(
        self,
        uri: str,
        chain: Callable[[], CertificateChain],
        options: Mapping[str, str],
        pin: Callable[[], str] | None,
    ) -> None:
        """Raises ``ConfigurationError`` for a URI that names no token or no module."""
        self._path, self._query = parse_uri(uri)
        self._module = options.get("module") or _text(self._query, "module-path") or ""
        if not self._module:
            raise ConfigurationError(
                "pkcs11: no module", advice="set the option module to the token's library"
            )
        self._chain, self._pin = chain, pin
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._opened: Any = None

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        with self._lock:
            try:
                return self._sign(message)
            except _REFUSED as error:
                self._opened = None
                raise SigningRefused(f"pkcs11: {type(error).__name__} {error}") from None
            except (pkcs11.PKCS11Error, RuntimeError) as error:
                self._opened = None
                raise SignerUnavailable(f"pkcs11: {type(error).__name__} {error}") from None

    def _sign(self, message: bytes) -> bytes:
        stale = self._opened is not None
        try:
            return _signature(self._key(), message)
        except pkcs11.PKCS11Error:
            if not stale:
                raise
            # A session that was good before: the token was restarted, or another key logged out.
            self._opened = None
            return _signature(self._key(), message)

    def _key(self) -> Any:
        if self._process != os.getpid():
            # The standard forbids using a library that was initialised before the fork.
            pkcs11.lib(self._module).reinitialize()
            self._process, self._opened = os.getpid(), None
        if self._opened is None:
            token = pkcs11.lib(self._module).get_token(**_token(self._path))
            self._opened = self._session(token).get_key(**_object(self._path))
        return self._opened

    def _session(self, token: Any) -> Any:
        try:
            return token.open(user_pin=self._pin() if self._pin else None)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            # Login belongs to process and token: another signer has a key on the same one.
            return token.open()


def _signature(key: Any, message: bytes) -> bytes:
    if key.key_type == KeyType.EC:
        digest = hashlib.sha256(message).digest()
        return dss_der(key.sign(digest, mechanism=Mechanism.ECDSA))
    return bytes(key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS))


def parse_uri(uri: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Split a URI into path and query attributes; raises ``ConfigurationError``."""
    path, _, query = uri.removeprefix(_SCHEME).partition("?")
    found = (_attributes(path, ";"), _attributes(query, "&"))
    if not uri.startswith(_SCHEME) or not found[0].keys() & {"object", "id"}:
        raise ConfigurationError(
            f"not a PKCS#11 URI of a key: {uri[:100]!r}",
            advice="write pkcs11:token=NAME;object=LABEL (RFC 7512)",
        )
    return found


def _attributes(text: str, separator: str) -> dict[str, bytes]:
    pairs = (each.partition("=") for each in text.split(separator) if each)
    return {name: unquote_to_bytes(value) for name, _, value in pairs}


def _text(attributes: Mapping[str, bytes], name: str) -> str | None:
    return attributes[name].decode() if name in attributes else None


def _token(path: Mapping[str, bytes]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if "token" in path:
        wanted["token_label"] = path["token"].decode()
    if "serial" in path:
        wanted["token_serial"] = path["serial"]
    return wanted


def _object(path: Mapping[str, bytes]) -> dict[str, Any]:
    wanted: dict[str, Any] = {"object_class": ObjectClass.PRIVATE_KEY}
    if "object" in path:
        wanted["label"] = path["object"].decode()
    if "id" in path:
        wanted["id"] = path["id"]
    return wanted
