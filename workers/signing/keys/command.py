"""A key behind a program: it gets the message on standard input, and prints the raw signature."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from app.errors import ConfigurationError, SignerUnavailable
from workers.signing.certificates import CertificateChain
from workers.signing.keys.settings import KeySettings
from workers.signing.signer import Key

#: An RSA signature of 4096 bits has 512 bytes.
_MAX_OUTPUT = 4096


def open_key(settings: KeySettings) -> Key:
    """Open the key that the configuration names; raises ``ConfigurationError``."""
    try:
        timeout = float(settings.options.get("timeout", "30"))
    except ValueError:
        raise ConfigurationError(f"signer {settings.name}: option timeout is no number") from None
    return CommandKey(settings.command, settings.chain(), timeout)


class CommandKey:
    """Runs a program for each signature, without a shell.

    It reads the 64 characters of the root hash and writes the binary PKCS#1 v1.5 (or DER ECDSA)
    signature over their SHA-256, such as ``openssl dgst -sha256 -sign key.pem`` does.
    """

    def __init__(
        self, command: Sequence[str], chain: Callable[[], CertificateChain], timeout: float
    ) -> None:
        """``timeout`` is in seconds. Raises ``ConfigurationError`` for an empty command."""
        if not command:
            raise ConfigurationError("a signer of kind command needs a command")
        self._command = list(command)
        self._chain = chain
        self._timeout = timeout

    @property
    def chain(self) -> CertificateChain:
        """See ``workers.signing.signer.Key``."""
        return self._chain()

    def sign(self, message: bytes) -> bytes:
        """See ``workers.signing.signer.Key``."""
        try:
            done = subprocess.run(
                self._command,
                input=message,
                capture_output=True,
                timeout=self._timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SignerUnavailable(f"signing command: {error}"[:500]) from None
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip()[-300:]
            raise SignerUnavailable(f"signing command ended with {done.returncode}: {reason}")
        if not 0 < len(done.stdout) <= _MAX_OUTPUT:
            raise SignerUnavailable(f"signing command wrote {len(done.stdout)} bytes")
        return done.stdout
