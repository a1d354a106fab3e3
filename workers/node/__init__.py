"""The node's side: verified layers, put where containerd looks before it downloads."""
