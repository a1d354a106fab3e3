"""A file tree as one side shows it, in a form in which two sides can be compared."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field


class Refused(Exception):
    """The runtime gives up on the archive, and the layer is not unpacked."""


@dataclass(slots=True, eq=False)
class Node:
    """One inode. Names of hard links share it; ``children`` is None for all but directories."""

    kind: int  # type bits of the mode
    mode: int  # permission bits
    uid: int = 0
    gid: int = 0
    #: Nanoseconds; None where the time of unpacking decides.
    mtime: int | None = None
    size: int = 0
    #: SHA-256 of a regular file in hex, or why there is none.
    content: str = ""
    target: bytes = b""
    #: Major and minor number of a device.
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    children: dict[bytes, Node] | None = None

    @property
    def is_directory(self) -> bool:
        return self.children is not None

    @property
    def is_symlink(self) -> bool:
        return self.kind == stat.S_IFLNK

    @property
    def is_whiteout(self) -> bool:
        """What overlayfs takes for one."""
        return self.kind == stat.S_IFCHR and self.device == (0, 0)


def directory(mode: int = 0o755) -> Node:
    """A directory without entries."""
    return Node(stat.S_IFDIR, mode, children={})


def flat(root: Node) -> dict[bytes, Node]:
    """Path -> node of everything below ``root``; the root itself is the empty path."""
    found = {b"": root}
    stack = [(b"", root)]
    while stack:
        path, node = stack.pop()
        for name, child in (node.children or {}).items():
            below = path + b"/" + name if path else name
            found[below] = child
            if child.is_directory:
                stack.append((below, child))
    return found
