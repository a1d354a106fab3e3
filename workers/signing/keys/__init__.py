"""Places that keep private keys; one module each, imported only when configured."""
