"""Messages on the queue: frozen, versioned, JSON. The web sends them by ``task_name`` only."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1


class DrainIntake(_Message):
    """Resolve accepted push events into jobs until none is pending."""

    task_name: ClassVar[str] = "verilayer.drain_intake"


class ConvertImage(_Message):
    """Convert one platform manifest; everything else is in the job's ledger record."""

    task_name: ClassVar[str] = "verilayer.convert_image"

    job_id: str


class BuildLayer(_Message):
    """Build and push one layer's index and tree under its build key."""

    task_name: ClassVar[str] = "verilayer.build_layer"

    job_id: str
    build_key: str
