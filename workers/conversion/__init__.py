"""Conversion of layers and images."""
