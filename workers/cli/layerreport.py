"""Results and progress of ``verilayer layer build``: JSON lines, or text with a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol


class Report(Protocol):
    """Where results and progress go, in the order of the files."""

    def started(self, file: str, size: int | None) -> Callable[[int], None]:
        """A file of ``size`` bytes is being read; returns what is told of the bytes read."""
        ...

    def built(self, facts: dict[str, Any]) -> None:
        """A file was built."""
        ...

    def refused(self, file: str, error: str, detail: str) -> None:
        """A file was refused."""
        ...


class _Json:
    def started(self, file: str, size: int | None) -> Callable[[int], None]:
        return _ignore

    def built(self, facts: dict[str, Any]) -> None:
        for warning in facts["warnings"]:
            print(f"warning: {facts['file']}: {warning}", file=sys.stderr)
        print(json.dumps(facts), flush=True)

    def refused(self, file: str, error: str, detail: str) -> None:
        print(json.dumps({"file": file, "error": error, "detail": detail}), flush=True)


class _Text:
    def started(self, file: str, size: int | None) -> Callable[[int], None]:
        return _ignore

    def built(self, facts: dict[str, Any]) -> None:
        for warning in facts["warnings"]:
            print(f"warning: {facts['file']}: {warning}", file=sys.stderr)
        print(
            f"{facts['file']}: {facts['entries']} entries in {facts['seconds']:.2f} s\n"
            f"  root hash     {facts['root_hash']}\n"
            f"  hash offset   {facts['hash_offset']} (data {facts['data_size']} bytes)\n"
            f"  index         {facts['index_digest']} ({facts['index_size']} bytes)\n"
            f"  hash tree     {facts['tree_digest']} ({facts['tree_size']} bytes)\n"
            f"  diffID        {facts['diff_id']}\n"
            f"  layer         {facts['layer_digest']}\n"
            f"  UUID          {facts['uuid']}, as mkfs.erofs {facts['builder_version']}, "
            f"{facts['layout']}",
            flush=True,
        )

    def refused(self, file: str, error: str, detail: str) -> None:
        print(f"refused: {file}: {detail} [{error}]", file=sys.stderr, flush=True)


class _Progress(_Text):
    """The same with a bar on the terminal while a file is read."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def started(self, file: str, size: int | None) -> Callable[[int], None]:
        task = self._bar.add_task(Path(file).name, total=size)
        self._bar.start()
        return lambda more: self._bar.advance(task, more)

    def built(self, facts: dict[str, Any]) -> None:
        self._end()
        super().built(facts)

    def refused(self, file: str, error: str, detail: str) -> None:
        self._end()
        super().refused(file, error, detail)

    def _end(self) -> None:
        self._bar.stop()
        for task in self._bar.task_ids:
            self._bar.remove_task(task)


def _ignore(more: int) -> None:
    """Nobody watches."""


def json_report() -> Report:
    """One JSON object a line; warnings also on standard error."""
    return _Json()


def text_report() -> Report:
    """Text for people, with a progress bar where standard error is a terminal."""
    return _Progress() if sys.stderr.isatty() else _Text()
