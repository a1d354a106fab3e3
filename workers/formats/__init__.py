"""Pure formats: bytes in, bytes out. No I/O, network or clock; of ours only the catalog."""
