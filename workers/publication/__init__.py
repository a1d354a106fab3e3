"""Putting bundles where readers look: referrers, deterministic tags, other registries."""
