"""The one configuration file: registries, rules, defaults, keys."""
