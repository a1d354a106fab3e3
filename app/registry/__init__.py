"""Registry client: protocols, and one streaming HTTP implementation of them."""
