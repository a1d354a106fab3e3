"""One exchange with a registry: connections, limits, retries, pages."""
