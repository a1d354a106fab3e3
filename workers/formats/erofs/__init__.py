"""EROFS: on-disk structures, checksums, and a reader of images with its dump."""
