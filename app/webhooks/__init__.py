"""Registry webhooks: authentication, dialects, routes."""
