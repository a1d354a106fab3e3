"""What ``open_key`` of every kind is given, and the certificate chain it may read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError
from workers.signing.certificates import CertificateChain


@dataclass(frozen=True, slots=True)
class KeySettings:
    """One signer of the configuration; its row in ``app.catalog.signers`` says what is there."""

    #: The signer's.
    name: str
    #: Empty where the kind needs none.
    key: str
    #: PEM file of the chain; the empty path where the kind needs none.
    certificate: Path
    passphrase: Callable[[], str] | None
    command: tuple[str, ...]
    options: Mapping[str, str]
    #: Where a kind may keep what it makes.
    state_dir: Path

    def chain(self) -> ChainFile:
        """Read the certificate chain; raises ``ConfigurationError``."""
        return ChainFile(self.certificate)


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
