"""Latency of the webhook endpoint: the real web process over a real Redis, at a fixed rate.

    python tests/bench/webhooks.py [--rate 500] [--seconds 20] [--connections 16] [--json]

Arrivals follow a schedule that does not wait for answers (an open loop), and a latency counts from
when its delivery was *due*, so a stall shows in every delivery behind it. Each delivery is one
distribution notification of a new manifest, with its secret; afterwards every event must be in
Redis, or the figures are worth nothing and the command fails.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import psutil
import redis

from tests.support.redis_server import RedisServer, redis_server
from tests.support.webhook_service import HEADER, SECRET, WebhookService, webhook_service

CONFIG = f"""
registries:
  - id: main
    url: http://127.0.0.1:5000
    webhook: {{dialect: distribution, header: {HEADER}, secrets: [{{value: {SECRET}}}]}}
rules: [{{name: all}}]
"""


def request(number: int) -> bytes:
    """One delivery as HTTP/1.1 bytes, with the fields that distribution 2.8 sends."""
    digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
    repository = f"team/app-{number % 50}"
    event = {
        "id": f"{digest[7:39]}-{number}",
        "timestamp": "2026-01-02T03:04:05.678901234Z",
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 1524,
            "digest": digest,
            "length": 1524,
            "repository": repository,
            "url": f"http://registry.example/v2/{repository}/manifests/{digest}",
            "tag": f"1.{number}",
        },
        "request": {
            "id": "b7e4",
            "addr": "10.0.0.9:4411",
            "host": "registry.example",
            "method": "PUT",
            "useragent": "skopeo/1.18",
        },
        "actor": {"name": "ci"},
        "source": {"addr": "registry-0:5000", "instanceID": "5c1b"},
    }
    body = json.dumps({"events": [event]}, indent=3).encode()
    head = (
        f"POST /webhooks/main HTTP/1.1\r\nHost: 127.0.0.1\r\n{HEADER}: {SECRET}\r\n"
        "Content-Type: application/vnd.docker.distribution.events.v1+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def connection(
    port: int, queue: asyncio.Queue[tuple[float, bytes] | None], done: list[tuple[float, int]]
) -> None:
    """Send what the queue holds over one connection, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (item := await queue.get()) is not None:
        due, data = item
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        done.append((time.perf_counter() - due, int(head.split(b" ", 2)[1])))
    writer.close()


async def load(
    port: int, rate: float, seconds: float, connections: int, first: int
) -> list[tuple[float, int]]:
    """Deliver at ``rate`` a second; returns (latency in seconds, status) of each delivery."""
    queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    done: list[tuple[float, int]] = []
    senders = [asyncio.create_task(connection(port, queue, done)) for _ in range(connections)]
    requests = [request(first + number) for number in range(int(rate * seconds))]
    start = time.perf_counter() + 0.2
    for number, data in enumerate(requests):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        queue.put_nowait((due, data))
    for _ in senders:
        queue.put_nowait(None)
    await asyncio.gather(*senders)
    return done


def report(done: list[tuple[float, int]], seconds: float, stored: int) -> dict[str, object]:
    """Summarise; percentiles are of all deliveries, in milliseconds."""
    latencies = sorted(latency * 1000 for latency, _ in done)

    def percentile(share: float) -> float:
        return round(latencies[min(len(latencies) - 1, int(len(latencies) * share))], 2)

    return {
        "deliveries": len(done),
        "per_second": round(len(done) / seconds, 1),
        "accepted": sum(status == 202 for _, status in done),
        "stored": stored,
        "p50_ms": percentile(0.50),
        "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99),
        "max_ms": round(latencies[-1], 2),
        "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def stored_events(server: RedisServer) -> int:
    """Events in the intake."""
    with redis.Redis(port=server.port) as client:
        return int(client.llen("{verilayer}:intake:pending"))


def measure(api: WebhookService, server: RedisServer, arguments: argparse.Namespace) -> int:
    """Warm up, load, print; the exit status."""
    asyncio.run(load(api.port, 100, 2, arguments.connections, 10_000_000))
    before, process = stored_events(server), psutil.Process(api.process.pid)
    spent = sum(process.cpu_times()[:2])
    done = asyncio.run(load(api.port, arguments.rate, arguments.seconds, arguments.connections, 0))
    spent = sum(process.cpu_times()[:2]) - spent
    result = report(done, arguments.seconds, stored_events(server) - before)
    result["cpu_ms"] = round(spent * 1000 / len(done), 3)
    if arguments.json:
        print(json.dumps({"benchmark": "webhooks", **result}))
    else:
        print(
            f"webhooks: {result['per_second']} deliveries/s for {arguments.seconds:g} s over "
            f"{arguments.connections} connections\n"
            f"  p50 {result['p50_ms']} ms, p95 {result['p95_ms']} ms, p99 {result['p99_ms']} ms, "
            f"max {result['max_ms']} ms; {result['cpu_ms']} ms of CPU each\n"
            f"  {result['accepted']} of {result['deliveries']} answered 202, "
            f"{result['stored']} stored in Redis "
            f"({result['cpus']} CPUs, load {result['load_before']})"
        )
    whole = result["accepted"] == result["stored"] == len(done)
    return 0 if whole else 1


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder)) as server,
        webhook_service(Path(folder), CONFIG, server, options=["--no-access-log"]) as api,
    ):
        return measure(api, server, arguments)


if __name__ == "__main__":
    sys.exit(main())
