"""What can be named in configuration and commands: one table a subject, one row a name."""
