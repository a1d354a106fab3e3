"""Accounts, challenges and tokens: as whom a registry is called."""
