"""Compares a built ``_blocks`` extension with hashlib: ``python check_blocks.py FOLDER``.

Needs nothing but the standard library, so that an emulated interpreter of another architecture can
run it. Prints the form that ran and how many comparisons were made.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import sys

START = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")


def finished(state: bytearray, size: int, compress: object) -> str:
    """The digest that ``state`` becomes after ``size`` bytes, a multiple of 64."""
    last = bytearray(state)
    compress(b"\x80" + bytes(55) + (size * 8).to_bytes(8, "big"), last)  # type: ignore[operator]
    return last.hex()


def main() -> None:
    """Compare block hashes, streams beside them, and streams alone."""
    sys.path.insert(0, sys.argv[1])
    native = importlib.import_module("_blocks")
    rng = random.Random(1)
    made = 0
    for count in (0, 1, 2, 3, 4, 7, 16, 35):
        for other in (0, 64, 448, 512, 576, 8192, 20032):
            data, salt, beside = rng.randbytes(512 * count), rng.randbytes(32), rng.randbytes(other)
            blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
            want = b"".join(hashlib.sha256(salt + block).digest() for block in blocks)
            for prefix in ("", "plain_"):
                compress = getattr(native, prefix + "compress")
                alone, together = bytearray(len(want)), bytearray(len(want))
                first, second = bytearray(START), bytearray(START)
                getattr(native, prefix + "block_hashes")(data, salt, alone)
                getattr(native, prefix + "block_hashes_and_streams")(
                    data, salt, together, first, beside, second
                )
                assert alone == together == want, (prefix, count, other)
                digests = hashlib.sha256(data).hexdigest(), hashlib.sha256(beside).hexdigest()
                assert finished(first, len(data), compress) == digests[0], (prefix, count, other)
                assert finished(second, other, compress) == digests[1], (prefix, count, other)
                made += 1
    print(native.IMPLEMENTATION, made)


if __name__ == "__main__":
    main()
