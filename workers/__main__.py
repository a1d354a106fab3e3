"""``python -m workers`` is the ``verilayer`` command, for where no script is on PATH."""

from workers.cli.commands import main

if __name__ == "__main__":
    main()
