"""Rate limits and locks that clients of one registry share: in one process, or through Redis.

The limit is a token bucket in its GCRA form: a request reserves its place and is told how long to
wait for it, so waiting workers neither poll nor overtake one another.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from app.errors import BrokerUnavailable, RateLimited, Unavailable
from app.filelocks import StillHeld, held
from app.registry.protocols import RateLimit

if TYPE_CHECKING:
    from redis import Redis

#: A request that would wait longer than this, in seconds, is refused instead.
LONGEST_WAIT = 120.0
#: How long to wait for a lock, and how long a lock outlives a holder that died, in seconds.
LOCK_WAIT = 120.0
LOCK_LEASE = 30.0

DEFAULT_LIMIT = RateLimit()


def _refused(host: str, wait: float) -> RateLimited:
    return RateLimited(f"{host}: the shared rate limit admits no request now", retry_after=wait)


@dataclass(slots=True)
class _Bucket:
    tat: float = 0.0
    until: float = 0.0


class LocalCoordination:
    """Coordination of the threads of one process; of processes too, when given a directory.

    ``directory`` holds lock files; rate limits stay per process.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._directory = directory
        self._clock, self._sleep = clock, sleep
        self._guard = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def throttle(self, host: str, cost: int = 1, *, limit: RateLimit = DEFAULT_LIMIT) -> None:
        """Wait for the host's turn; raises ``RateLimited`` when that takes too long."""
        with self._guard:
            bucket = self._buckets.setdefault(host, _Bucket())
            now = self._clock()
            tat = max(bucket.tat, now) + cost / limit.per_second
            wait = max(tat - limit.burst / limit.per_second, bucket.until) - now
            if wait > LONGEST_WAIT:
                raise _refused(host, wait)
            bucket.tat = tat
        if wait > 0:
            self._sleep(wait)

    def penalise(self, host: str, seconds: float) -> None:
        """Make everyone in this process wait."""
        with self._guard:
            bucket = self._buckets.setdefault(host, _Bucket())
            bucket.until = max(bucket.until, self._clock() + seconds)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold a lock; raises ``Unavailable`` after ``LOCK_WAIT`` seconds."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=LOCK_WAIT):
            raise Unavailable(f"lock {name} is held by another thread")
        try:
            with self._file_lock(name):
                yield
        finally:
            lock.release()

    @contextmanager
    def _file_lock(self, name: str) -> Iterator[None]:
        if self._directory is None:
            yield
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / (hashlib.sha256(name.encode()).hexdigest()[:32] + ".lock")
        try:
            with held(path, wait=LOCK_WAIT):
                yield
        except StillHeld:
            raise Unavailable(f"lock {name} is held by another process") from None


class RedisCoordination:
    """Coordination of all workers through one Redis; raises ``BrokerUnavailable`` without it."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "verilayer:registry:",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis, self._prefix, self._sleep = redis, prefix, sleep
        scripts = files("app.registry")
        self._throttle = redis.register_script((scripts / "throttle.lua").read_text())
        self._penalise = redis.register_script((scripts / "penalise.lua").read_text())

    def throttle(self, host: str, cost: int = 1, *, limit: RateLimit = DEFAULT_LIMIT) -> None:
        """Wait for the host's turn; raises ``RateLimited`` when that takes too long."""
        arguments: list[Any] = [limit.per_second, limit.burst, cost, LONGEST_WAIT]
        with _broker_errors():
            answer: Any = self._throttle(keys=[self._bucket(host)], args=arguments)
        wait = float(answer)
        if wait < 0:
            raise _refused(host, -wait)
        if wait > 0:
            self._sleep(wait)

    def penalise(self, host: str, seconds: float) -> None:
        """Make all workers wait."""
        with _broker_errors():
            self._penalise(keys=[self._bucket(host)], args=[max(0.0, seconds)])

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that is renewed while held and expires when its holder dies."""
        return self._exclusive(name)

    @contextmanager
    def _exclusive(self, name: str) -> Iterator[None]:
        lock = self._redis.lock(
            f"{self._prefix}lock:{name}",
            timeout=LOCK_LEASE,
            sleep=0.02,
            blocking_timeout=LOCK_WAIT,
            thread_local=False,
        )
        with _broker_errors():
            if not lock.acquire():
                raise Unavailable(f"lock {name} is held by another worker")
        done = threading.Event()
        keeper = threading.Thread(target=_keep, args=(lock, done), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()
            _release(lock)

    def _bucket(self, host: str) -> str:
        return f"{self._prefix}rate:{host}"


@contextmanager
def _broker_errors() -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise BrokerUnavailable(f"Redis cannot be reached: {error}") from error


def _keep(lock: Any, done: threading.Event) -> None:
    from redis.exceptions import RedisError

    while not done.wait(LOCK_LEASE / 3):
        try:
            lock.extend(LOCK_LEASE, replace_ttl=True)
        except RedisError:
            # The holder cannot be interrupted; what the lock guards reads back what it wrote.
            return


def _release(lock: Any) -> None:
    from redis.exceptions import RedisError

    try:
        lock.release()
    except RedisError:
        # Lost or unreachable: the lease ends it.
        return
