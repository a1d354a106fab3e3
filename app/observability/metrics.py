"""Every metric the service exposes, in one place; docs/metrics.md lists the same names.

Metrics are process-wide by nature, as loggers are, so they are module constants. With
``PROMETHEUS_MULTIPROC_DIR`` in the environment before this module is imported, values live in
memory-mapped files that ``app.observability.exposition`` sums over all processes of the host.

Names follow the Prometheus conventions: base units, ``_total`` for counters. Label values are
bounded: configured names, enumerations, status codes; never a repository, tag or digest. A label
whose values are an enumeration lists them in the help text, as ``label: value, value (gloss).``; a
test compares these lists with what the code counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

#: From one millisecond (a webhook) to half an hour (a very large layer), in seconds.
_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)

WEBHOOKS = Counter(
    "verilayer_webhook_deliveries_total",
    "Webhook deliveries answered. outcome: accepted, duplicate, ignored, unauthorized, malformed, "
    "too-large, unavailable.",
    ["dialect", "outcome"],
)
WEBHOOK_SECONDS = Histogram(
    "verilayer_webhook_duration_seconds",
    "From the request's first byte to its answer.",
    ["dialect"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3),
)
WEBHOOK_IGNORED = Counter(
    "verilayer_webhook_ignored_total",
    "Things in deliveries that are not accepted. reason: action, event-type, media-type, "
    "package-type, malformed, own-actor, derived-tag, referrer, artifact (docs/webhooks.md).",
    ["dialect", "reason"],
)
EVENTS = Counter(
    "verilayer_push_events_total",
    "Accepted push events by what became of them. outcome: jobs, ignored (no rule), "
    "dropped (loop guard), skipped (nothing to convert), failed, dead.",
    ["registry", "outcome"],
)
LOOP_DROPS = Counter(
    "verilayer_loop_drops_total",
    "Push events that the loop guard dropped, by what caught them. guard: own-actor, derived-tag, "
    "referrer, artifact, own-push (docs/webhooks.md).",
    ["guard"],
)
JOBS_FINISHED = Counter(
    "verilayer_jobs_finished_total",
    "Jobs that reached a final state. state: succeeded, skipped, failed, cancelled, dead.",
    ["state"],
)
PUSH_TO_ATTACHED = Histogram(
    "verilayer_push_to_attached_seconds",
    "From the push event's arrival to its bundle being attached: the service's SLO.",
    buckets=(1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)
PHASE_SECONDS = Histogram(
    "verilayer_phase_duration_seconds",
    "Time one layer or image spends in a phase. phase: stream (a layer's one pass), "
    "cpu-decompress, cpu-hashing, cpu-index (processor time of its threads), index, tree, push, "
    "total, plan (an image), layers, sign, attach.",
    ["phase"],
    buckets=_SECONDS,
)
LAYER_BYTES = Counter(
    "verilayer_layer_bytes_total",
    "Bytes moved for layers. direction: pulled (compressed), unpacked (tar), "
    "pushed (index and tree).",
    ["direction"],
)
LAYER_BUILDS = Counter(
    "verilayer_layer_builds_total",
    "Layers of jobs. outcome: asked (to be built), built, awaited (asked before), "
    "hit (built before), distrusted (its record bears no worker's seal).",
    ["outcome"],
)
LAYER_WARNINGS = Counter(
    "verilayer_layer_warnings_total", "Oddities seen in layers, by kind.", ["kind"]
)
RETRIES = Counter(
    "verilayer_task_retries_total",
    "Tasks put back after a retryable error. task: event, image, layer.",
    ["task", "code"],
)
REGISTRY_REQUESTS = Counter(
    "verilayer_registry_requests_total",
    "HTTP requests to registries; status 'error' is a request without an answer.",
    ["host", "method", "status"],
)
REGISTRY_SECONDS = Histogram(
    "verilayer_registry_request_duration_seconds",
    "Until the response headers of a registry request.",
    ["host", "method"],
    buckets=_SECONDS,
)
REGISTRY_WAIT_SECONDS = Counter(
    "verilayer_registry_wait_seconds_total",
    "Waiting for a registry. reason: limit (ours), retry-after (what its 429 answers asked for).",
    ["host", "reason"],
)
SIGNATURES = Counter(
    "verilayer_signatures_total",
    "Root hashes given to a signer. outcome: signed, refused, failed.",
    ["signer", "outcome"],
)
CERTIFICATE_DAYS_LEFT = Gauge(
    "verilayer_certificate_days_left",
    "Days until the signing certificate expires; negative once it has.",
    ["signer"],
    multiprocess_mode="mostrecent",
)
SPOOL_USED_BYTES = Gauge(
    "verilayer_spool_used_bytes",
    "Scratch space in use on this host.",
    multiprocess_mode="mostrecent",
)
SPOOL_LIMIT_BYTES = Gauge(
    "verilayer_spool_limit_bytes",
    "Scratch space this host may use.",
    multiprocess_mode="mostrecent",
)
SWEEP_LAST_SUCCESS = Gauge(
    "verilayer_sweep_last_success_timestamp_seconds",
    "When the last complete sweep of a registry ended (Unix time); its age is the sweep lag.",
    ["registry"],
    multiprocess_mode="max",
)
SWEEP_FINDINGS = Counter(
    "verilayer_sweep_findings_total",
    "What sweeps found. finding: missing, stale, broken, drifted, complete.",
    ["registry", "finding"],
)
DRIFT_CHECKS = Counter(
    "verilayer_drift_checks_total",
    "Images that sweeps verified. depth: shallow, deep. "
    "result: verified, drifted, failed (not checked).",
    ["registry", "depth", "result"],
)

#: Read from Redis at scrape time (see ``app.observability.exposition``), so no process owns them.
READINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "verilayer_jobs": (
        "Jobs now. state: queued, running, succeeded, skipped, failed, cancelled, dead.",
        ("state",),
    ),
    "verilayer_queue_depth": (
        "Units that wait in a queue now. queue: intake, images, layers, layers-large.",
        ("queue",),
    ),
    "verilayer_queue_running": (
        "Units of a queue that run now. queue: intake, images, layers, layers-large.",
        ("queue",),
    ),
    "verilayer_queue_oldest_age_seconds": (
        "Age of the oldest unit that waits. queue: images, layers, layers-large.",
        ("queue",),
    ),
    "verilayer_intake_pending": ("Accepted push events not yet turned into jobs.", ()),
    "verilayer_dead_letters": ("Jobs given up on that wait for a person.", ()),
    "verilayer_readings_ok": ("1 when Redis answered this scrape, else 0.", ()),
}


def observe_phases(timings: Mapping[str, float]) -> None:
    """Record the duration in seconds of each phase, as ``BuiltLayer.timings`` gives them."""
    for phase, seconds in timings.items():
        PHASE_SECONDS.labels(phase=phase).observe(seconds)
