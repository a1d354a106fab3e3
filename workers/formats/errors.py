"""Errors of the pure formats, on their own root so that this package depends on nothing."""

from __future__ import annotations


def printable(name: bytes) -> str:
    """``name`` for people: UTF-8 where it is, bytes that are not and controls escaped."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
