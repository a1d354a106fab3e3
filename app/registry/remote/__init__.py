"""A registry over HTTP: manifests, referrers, and the protocols put together."""
