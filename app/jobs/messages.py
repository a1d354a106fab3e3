"""Messages on the queue: frozen, versioned, JSON. The web sends them by ``task_name`` only.

A message is a wake-up, never the record of the work: which job or layer runs next is decided by
the schedule in Redis when a worker is free (``app.jobs.schedule``). A lost or doubled message is
therefore harmless.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict


class Lane(StrEnum):
    """Work that waits for its own kind only, and the Celery queue that wakes workers for it."""

    queue: str

    def __new__(cls, name: str, queue: str = "") -> Self:
        """Make a member that is its name."""
        lane = str.__new__(cls, name)
        lane._value_, lane.queue = name, queue
        return lane

    IMAGE = "image", "images"
    LAYER = "layer", "layers"
    #: Big layers have a lane of their own so that small ones do not wait for them.
    LAYER_LARGE = "layer-large", "layers-large"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1


class DrainIntake(_Message):
    """Resolve accepted push events into jobs until none is pending."""

    task_name: ClassVar[str] = "verilayer.drain_intake"


class RunNext(_Message):
    """Run the unit of a lane that the schedule admits next, if any."""

    task_name: ClassVar[str] = "verilayer.run_next"

    lane: Lane


class Reap(_Message):
    """Take back expired leases, requeue what is due, drop what is old."""

    task_name: ClassVar[str] = "verilayer.reap"


class SweepRegistries(_Message):
    """Go on with every sweep that is due, for a short while."""

    task_name: ClassVar[str] = "verilayer.sweep"


class VerifyImage(_Message):
    """Answer a verification that someone asked for (``app.jobs.requests``)."""

    task_name: ClassVar[str] = "verilayer.verify_image"

    verification: str
