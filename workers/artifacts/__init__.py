"""Bundles: signed layers to manifests, by profile. Pure."""
