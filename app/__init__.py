"""The service's vocabulary, contracts and web shell. Never imports ``workers``."""
