"""OCI types: digests, references, descriptors, manifests. Pure values, no I/O."""
