"""Sends tasks by name, so that the web never imports a worker."""

from __future__ import annotations

from typing import Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from pydantic import BaseModel
from redis.exceptions import RedisError

from app.errors import BrokerUnavailable
from app.jobs.messages import DrainIntake, Lane, Reap, RunNext, VerifyImage

INTAKE_QUEUE = "intake"
MAINTENANCE_QUEUE = "maintenance"
#: Every Celery queue: each has to have a worker.
QUEUES = (INTAKE_QUEUE, *(lane.queue for lane in Lane), MAINTENANCE_QUEUE)


class JobQueue(Protocol):
    """Wakes workers; losing a call only delays work until the reaper's next round."""

    def drain_intake(self) -> None:
        """Ask a worker to resolve pending events. Raises ``BrokerUnavailable``."""
        ...

    def run_next(self, lane: Lane, count: int = 1) -> None:
        """Ask workers to run ``count`` units of a lane. Raises ``BrokerUnavailable``."""
        ...

    def waiting(self, lane: Lane) -> int:
        """Wake-ups of a lane that no worker has taken. Raises ``BrokerUnavailable``."""
        ...


class CeleryJobQueue:
    """The ``JobQueue`` over Celery; publishing is bounded to about two seconds."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    @classmethod
    def connect(cls, broker_url: str) -> CeleryJobQueue:
        """Return a queue for processes that only send, such as the web."""
        celery = Celery("verilayer-sender", broker=broker_url, set_as_current=False)
        celery.conf.update(
            task_ignore_result=True,
            broker_connection_timeout=1.0,
            broker_transport_options={
                "socket_timeout": 2.0,
                "socket_connect_timeout": 1.0,
                "max_retries": 1,
            },
        )
        return cls(celery)

    def drain_intake(self) -> None:
        """See ``JobQueue``."""
        self._send(DrainIntake.task_name, DrainIntake(), INTAKE_QUEUE)

    def run_next(self, lane: Lane, count: int = 1) -> None:
        """See ``JobQueue``."""
        for _ in range(count):
            self._send(RunNext.task_name, RunNext(lane=lane), lane.queue)

    def verify(self, verification: str) -> None:
        """Ask a worker to answer a verification. Raises ``BrokerUnavailable``."""
        message = VerifyImage(verification=verification)
        self._send(VerifyImage.task_name, message, MAINTENANCE_QUEUE)

    def waiting(self, lane: Lane) -> int:
        """See ``JobQueue``."""
        try:
            with self._celery.connection_for_write() as connection, connection.channel() as channel:
                try:
                    declared = channel.queue_declare(queue=lane.queue, passive=True)
                except connection.channel_errors:
                    # The broker has never seen the queue: nothing waits in it.
                    return 0
                return int(declared.message_count)
        except (OperationalError, RedisError, OSError) as error:
            raise BrokerUnavailable(f"the broker does not answer: {error}") from error

    def reap(self, expires: float) -> None:
        """Ask for a round of the reaper; forgotten after ``expires`` seconds."""
        self._send(Reap.task_name, Reap(), MAINTENANCE_QUEUE, expires)

    def _send(
        self, name: str, message: BaseModel, queue: str, expires: float | None = None
    ) -> None:
        try:
            self._celery.send_task(
                name,
                args=[message.model_dump(mode="json")],
                queue=queue,
                expires=expires,
                ignore_result=True,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2},
            )
        except (OperationalError, RedisError, OSError) as error:
            raise BrokerUnavailable(f"the broker refused a task: {error}") from error
