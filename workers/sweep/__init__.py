"""Finds what events missed, and what bundles nobody needs any more."""
