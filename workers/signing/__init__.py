"""Root hash signers: where keys are kept, and which repository may use which."""
