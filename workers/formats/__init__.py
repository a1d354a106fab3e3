"""Pure formats: bytes in, bytes out. No I/O, network or clock; imports nothing of ours."""
