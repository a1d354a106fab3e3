"""The ``verilayer`` command: ``commands`` is its tree, every other module one command."""
