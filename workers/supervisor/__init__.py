"""Runs the whole service on one host: what ``verilayer up`` starts, watches and stops."""
