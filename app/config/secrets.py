"""Reading secrets where the configuration says they are; a file is read again when it changes.

A secret is never kept in a model that could be printed: callers hold a ``Secret`` and ask for its
value each time they need it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from app.config.model import SecretSource
from app.errors import ConfigurationError

#: Longer files are not secrets but mistakes (a key store, a core dump).
MAX_SECRET_BYTES = 64 << 10


class Secret:
    """One configured secret. ``repr`` never shows the value."""

    def __init__(
        self, source: SecretSource, what: str, environ: Mapping[str, str] | None = None
    ) -> None:
        """``what`` names the setting in errors, such as ``registry main: webhook secret``."""
        self._source = source
        self._what = what
        self._environ = os.environ if environ is None else environ
        self._stamp: tuple[int, int, int] | None = None
        self._text = ""

    def value(self) -> str:
        """Return the secret without the newline editors add at the end.

        Raises ``ConfigurationError`` when it is absent, unreadable or empty.
        """
        if self._source.file is not None:
            return self._from_file(Path(self._source.file))
        if self._source.env is not None:
            text = self._environ.get(self._source.env)
            if text is None:
                raise ConfigurationError(
                    f"{self._what}: environment variable {self._source.env} is not set"
                )
        else:
            text = self._source.value.get_secret_value() if self._source.value else ""
        return self._checked(text)

    def _from_file(self, path: Path) -> str:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                if status.st_size > MAX_SECRET_BYTES:
                    raise ConfigurationError(
                        f"{self._what}: {path} has {status.st_size} bytes, which is no secret"
                    )
                self._text = self._checked(path.read_text(encoding="utf-8"))
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self._what}: cannot read {path}: {error}") from None
        return self._text

    def _checked(self, text: str) -> str:
        text = text.rstrip("\r\n")
        if not text.strip():
            raise ConfigurationError(
                f"{self._what}: the secret is empty", advice="an empty secret protects nothing"
            )
        return text

    def __repr__(self) -> str:
        return f"Secret({self._what!r})"
