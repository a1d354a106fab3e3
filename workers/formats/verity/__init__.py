"""dm-verity: parameters, superblock, Merkle tree."""
