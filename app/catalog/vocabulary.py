"""Small closed sets of names that configuration, records, API and commands share.

Code knows each of these by name, so that they are types: a place that offers a choice lists
``get_args`` of one. What can be added as data has a table of its own beside this file.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, get_args

#: Who asked for a job; what a registry pushed runs first.
Source = Literal["push", "manual", "sweep"]

#: Order among jobs of one source.
Priority = Literal["high", "normal", "low"]

SOURCES: Final[tuple[Source, ...]] = get_args(Source)
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)

#: Ranks of a lane's queue, 0 first: by source, within each by priority.
RANKS: Final = len(SOURCES) * len(PRIORITIES)

#: Which known jobs a bulk request means: ``failed`` or dead, or built by an older builder.
Selection = Literal["all", "failed", "stale"]

#: The same, and images that no job is known for: the sweep looks for those.
Reprocessed = Literal[Selection, "missing"]

#: How much of a bundle is verified: what it refers to, or also what a rebuild of its layers gives.
VerifyDepth = Literal["shallow", "deep"]

#: ``device-table`` is what mkfs.erofs writes and signed bundles carry; ``single-device`` is what
#: stock containerd can run.
Layout = Literal["device-table", "single-device"]

#: Alignment of the verity data area in bytes.
Padding = Literal[512, 4096]

#: Order in which a bundle takes the place of another one.
ReplaceOrder = Literal["push-then-delete", "delete-then-push"]

#: How a layer's blobs came to a repository without being built, the costliest way first.
Reuse = Literal["copied", "mounted", "reused"]

#: What became of a layer in a job.
LayerOutcome = Literal["pending", "built", Reuse]

#: What a node believes: trusted signatures only, or also what it rebuilt itself.
TrustPolicy = Literal["require-signed", "prefer-signed"]

#: Deviations of registries from the distribution spec (docs/registries.md).
Upload = Literal["monolithic", "chunked"]
ContentRange = Literal["plain", "bytes"]
ReferrersForm = Literal["auto", "api", "fallback-tag"]


class Role(IntEnum):
    """What a caller of the admin API may do; a higher role includes the lower ones."""

    read = 1
    operate = 2
    admin = 3
