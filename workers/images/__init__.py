"""One image: plan it, bring its layers together, publish its bundles, copy it."""
