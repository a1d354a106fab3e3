"""How deliveries prove where they come from: one file a kind of proof."""
