"""Moving blobs: presence, streamed and resumed downloads and uploads."""
