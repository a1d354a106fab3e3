"""Bundles: layer materializations to manifests, by profile. Pure."""
