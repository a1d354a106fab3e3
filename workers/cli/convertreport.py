"""What ``verilayer convert`` tells: progress and a summary for people, or JSON lines."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Any, Protocol, Self

import click

from app.oci.digest import Digest
from workers.images.inline import Outcome


class Report(Protocol):
    """Watches a conversion and prints what becomes of it."""

    def image(self, digest: Digest, platform: str, layers: int) -> None:
        """An image begins."""
        ...

    def layer(self, digest: Digest, done: int, size: int) -> None:
        """Bytes of a layer have been read."""
        ...

    def outcome(self, outcome: Outcome) -> None:
        """An image is done."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _Json:
    def image(self, digest: Digest, platform: str, layers: int) -> None:
        pass

    def layer(self, digest: Digest, done: int, size: int) -> None:
        pass

    def outcome(self, outcome: Outcome) -> None:
        click.echo(json.dumps(facts(outcome)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class _Text(_Json):
    def outcome(self, outcome: Outcome) -> None:
        click.echo(f"{outcome.platform or 'manifest'}  {outcome.digest}  {outcome.state}")
        if outcome.reason:
            click.echo(f"  {outcome.reason}: {outcome.message}".rstrip(": "))
        for layer in outcome.layers:
            click.echo(
                f"  layer {layer['layer_digest'][7:19]}  {layer['size']} bytes  "
                f"index {layer['index_size']}  tree {layer['tree_size']}  "
                f"root {layer['root_hash']}  {layer['seconds']:.2f} s"
            )
        for bundle in outcome.bundles:
            click.echo(f"  {bundle.profile}: {bundle.action} {bundle.digest}")


class _Bars(_Text):
    """The same with a bar per layer on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        self._progress = Progress(
            "{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars: dict[Digest, Any] = {}

    def layer(self, digest: Digest, done: int, size: int) -> None:
        if digest not in self._bars:
            self._bars[digest] = self._progress.add_task(digest.hex[:12], total=size)
        self._progress.update(self._bars[digest], completed=done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


def facts(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as a JSON object."""
    return {
        "image": outcome.digest,
        "platform": outcome.platform,
        "state": outcome.state,
        "reason": outcome.reason,
        "detail": outcome.message,
        "layers": outcome.layers,
        "bundles": [
            {"profile": one.profile, "digest": one.digest, "action": one.action}
            for one in outcome.bundles
        ],
        "seconds": outcome.seconds,
    }


def json_report() -> Report:
    """One JSON object a line."""
    return _Json()


def text_report() -> Report:
    """Text, with bars where standard error is a terminal."""
    return _Bars() if sys.stderr.isatty() else _Text()
