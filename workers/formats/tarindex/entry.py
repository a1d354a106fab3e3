"""One entry of a tar as mkfs.erofs sees it, after all extension headers were applied."""

from __future__ import annotations

from typing import Final

TYPE_FILE: Final = 48  # '0'
TYPE_LINK: Final = 49
TYPE_SYMLINK: Final = 50
TYPE_CHAR: Final = 51
TYPE_BLOCK: Final = 52
TYPE_DIRECTORY: Final = 53
TYPE_FIFO: Final = 54
TYPE_CONTIGUOUS: Final = 55  # '7', a regular file


class Entry:
    """A mutable record, reused from entry to entry so that reading allocates little."""

    def __init__(self) -> None:
        #: Byte offset of the entry's header in the stream, for messages.
        self.header: int = 0
        self.type: int = 0
        #: The path in front of its last slash (None without one), and what follows. Entries of one
        #: directory in a row share ``head``.
        self.head: bytes | None = None
        self.name: bytes = b""
        #: Target of a hard or symbolic link.
        self.link: bytes = b""
        #: Permission bits.
        self.mode: int = 0
        self.uid: int = 0
        self.gid: int = 0
        self.mtime: int = 0
        self.nanoseconds: int = 0
        self.size: int = 0
        #: Encoded device number.
        self.device: int = 0
        #: Counted offset of the body; a multiple of 512.
        self.data: int = 0
        self.xattrs: list[tuple[bytes, bytes]] | None = None

    @property
    def path(self) -> bytes:
        """The whole path."""
        return self.name if self.head is None else self.head + b"/" + self.name

    def set_path(self, path: bytes) -> None:
        """Set ``head`` and ``name``."""
        split = path.rfind(b"/")
        if split < 0:
            self.head = None
            self.name = path
        else:
            self.set_head(path[:split])
            self.name = path[split + 1 :]

    def set_head(self, head: bytes) -> None:
        """Set ``head``, keeping the object where it is equal."""
        if self.head is None or self.head != head:
            self.head = head
