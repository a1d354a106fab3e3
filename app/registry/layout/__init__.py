"""OCI image layouts, in a directory or a tar file, behind the registry protocols."""
