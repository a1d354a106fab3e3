"""The main job shown to a person: a real registry, a real image, and what gets attached to it."""
