"""What ``node watch`` tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workers.node.cache import ContentCache

#: Its own registry: the service's metrics mean nothing on a node.
REGISTRY = CollectorRegistry()

IMAGES = Counter(
    "verilayer_node_images",
    "Images attempted. outcome: cached, no-bundle, skipped, refused, failed, invalid, cancelled.",
    ["outcome"],
    registry=REGISTRY,
)
LAYERS = Counter(
    "verilayer_node_layers",
    "Layers of images with a bundle. action: filled, present, failed.",
    ["action"],
    registry=REGISTRY,
)
BYTES = Counter(
    "verilayer_node_fetched_bytes", "Bytes of bundles and layers fetched.", registry=REGISTRY
)
SECONDS = Histogram(
    "verilayer_node_image_seconds",
    "Seconds to make an image's layers cache entries, those present included.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
    registry=REGISTRY,
)
WANTED = Gauge("verilayer_node_wanted_references", "References followed now.", registry=REGISTRY)
ENTRIES = Gauge("verilayer_node_cache_entries", "Layers in the cache.", registry=REGISTRY)
CACHE_BYTES = Gauge("verilayer_node_cache_bytes", "Bytes of the cache.", registry=REGISTRY)


def observe_cache(cache: ContentCache) -> None:
    """Set the gauges of what is in the cache."""
    sizes = [record.size for each in cache.entries() if (record := cache.record(each)) is not None]
    ENTRIES.set(len(sizes))
    CACHE_BYTES.set(sum(sizes))
