"""Jobs: messages, states, the ledger in Redis, the queue."""
