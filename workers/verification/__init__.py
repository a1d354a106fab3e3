"""Checking what is published: complete, consistent, signed, and equal to a rebuild."""
