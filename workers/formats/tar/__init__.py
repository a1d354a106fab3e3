"""Tar as ``mkfs.erofs --tar=i`` reads it."""
