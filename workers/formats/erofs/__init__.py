"""EROFS: on-disk structures, tree, layout, writer, reader, dump."""
