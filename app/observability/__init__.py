"""What the service tells about itself: metrics, structured logs, traces.

Importing anything here is cheap and starts nothing; composition roots call the ``configure``
functions, everybody else calls ``metrics.X.labels(...)``, ``logging.get_logger`` and
``tracing.span``.
"""
