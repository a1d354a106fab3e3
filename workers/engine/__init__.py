"""The engine's side of the building: from accepted events to jobs, from jobs to bundles."""
