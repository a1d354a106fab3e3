"""The building: pure formats, bundles, conversion, tasks and the CLI. May import ``app``."""
