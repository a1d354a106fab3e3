"""mkfs.erofs's reading of a tar and the index it writes: tar, tree, layout, writer."""
