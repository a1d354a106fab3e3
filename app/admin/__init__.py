"""Admin REST API under ``/v1``."""
