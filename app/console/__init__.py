"""Server-rendered pages at ``/console`` over the engine; no build step, nothing from elsewhere."""
