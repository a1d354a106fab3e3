"""Exit codes of every command, and the one place that turns errors into them (docs/cli.md)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import click

from app.errors import (
    BrokerUnavailable,
    ConfigurationError,
    RegistryError,
    ServiceUnavailable,
    VerificationFailed,
    VerilayerError,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
VERIFICATION: Final = 3
NETWORK: Final = 4

P = ParamSpec("P")
R = TypeVar("R")


def exit_code(error: VerilayerError) -> int:
    """Exit code of an error, by who must act."""
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, VerificationFailed):
        return VERIFICATION
    if isinstance(error, RegistryError | BrokerUnavailable | ServiceUnavailable):
        return NETWORK
    return FAILED


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """End a command with a message on standard error and an exit code instead of a traceback.

    Log lines go to standard error, warnings and worse only: standard output is the command's.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from app.observability import logging

        logging.configure("console", "WARNING")
        try:
            return command(*args, **kwargs)
        except VerilayerError as error:
            click.echo(f"verilayer: {error.message} [{error.code}]", err=True)
            if error.advice:
                click.echo(f"  {error.advice}", err=True)
            sys.exit(exit_code(error))

    return run
