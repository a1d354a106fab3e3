"""One layer in one pass: blob to index, hash tree and root hashes; scratch space."""
