"""Detached PKCS#7 over a root hash, as the kernel accepts it."""
