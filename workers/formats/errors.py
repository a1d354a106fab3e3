"""Errors of the pure formats, on their own root so that this package depends on nothing."""

from __future__ import annotations


class FormatError(ValueError):
    """Input breaks a format or a limit.

    ``code`` is stable; ``entry`` is the entry's path for people (backslash-escaped), ``offset`` the
    byte offset in the (uncompressed) input where the offending structure starts.
    """

    def __init__(
        self, code: str, message: str, *, entry: str | None = None, offset: int | None = None
    ) -> None:
        """Keep what, which entry and where."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.entry = entry
        self.offset = offset

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at offset {self.offset}"
        who = "" if self.entry is None else f" (entry {self.entry})"
        return f"{self.message}{who}{where}"
