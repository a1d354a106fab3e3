"""What ``verilayer layer build`` does, file by file."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from app.catalog.vocabulary import Layout
from app.errors import SourceInvalid, VerilayerError
from app.oci.digest import Digest
from workers.cli.layerreport import Report
from workers.cli.scratch import command_spool
from workers.layers.building import build_layer
from workers.layers.built import BuiltLayer, ExpectedLayer, LayerOptions, LayoutForm
from workers.layers.decompression import detect
from workers.layers.spool import Spool

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """Options of the command."""

    layer_digest: Digest | None
    uuid: UUID | None
    out: Path | None
    builder_version: str
    layout: Layout
    padding: int
    spool: Path | None
    refuse_lossy: bool


def build_files(files: Sequence[Path], request: Request, report: Report) -> bool:
    """Build each file; returns whether none was refused."""
    spool = command_spool(request.spool)
    good = True
    for path in files:
        try:
            report.built(_build(path, request, spool, report))
        except VerilayerError as error:
            report.refused(str(path), str(error.details.get("reason") or error.code), str(error))
            good = False
        except BrokenPipeError:  # whoever read the results has gone
            raise
        except OSError as error:
            what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            report.refused(str(path), "io", what)
            good = False
    return good


def _build(path: Path, request: Request, spool: Spool, report: Report) -> dict[str, Any]:
    started = time.perf_counter()
    options = LayerOptions(
        builder_version=request.builder_version,
        padding=request.padding,
        uuid=request.uuid,
        layer_digest=request.layer_digest,
        single_device=False,
    )
    with _opened(path) as file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        head = file.read(_CHUNK)
        with build_layer(
            _chunks(head, file, report.started(str(path), size)),
            compression=detect(head),
            options=options,
            spool=spool,
            expected=ExpectedLayer(size=size),
        ) as layer:
            if request.refuse_lossy and layer.warnings:
                raise SourceInvalid(
                    "content would be lost: " + "; ".join(map(_text, layer.warnings)),
                    reason="lossy",
                )
            form = layer.form(request.layout)
            if request.out:
                _write(form, path, request.out)
            return {
                "file": str(path),
                "layer_digest": request.layer_digest or layer.facts.layer_digest,
                **_facts(layer, form),
                "seconds": round(time.perf_counter() - started, 6),
                "warnings": [_text(warning) for warning in layer.warnings],
            }


def _facts(layer: BuiltLayer, form: LayoutForm) -> dict[str, Any]:
    facts = layer.facts
    return {
        "diff_id": facts.diff_id,
        "uuid": facts.uuid,
        "builder_version": facts.builder_version,
        "layout": form.layout,
        "index_digest": form.index_digest,
        "index_size": len(form.index),
        "tree_digest": form.tree.digest,
        "tree_size": form.tree.size,
        "data_size": facts.data_size,
        "hash_offset": facts.hash_offset,
        "root_hash": form.root_hash,
        "entries": facts.entries,
    }


def _text(warning: Any) -> str:
    return f"{warning.kind}: {warning.message} (entry {warning.entry}, offset {warning.offset})"


def _opened(path: Path) -> BinaryIO:
    if str(path) == "-":
        # A pipe holds 64 KiB by default, and each read costs a switch to the writer.
        with suppress(OSError, AttributeError):
            fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, _CHUNK)
        return open(0, "rb", buffering=0, closefd=False)
    return open(path, "rb", buffering=0)


def _chunks(chunk: bytes, file: BinaryIO, told: Callable[[int], None]) -> Iterator[bytes]:
    while chunk:
        yield chunk
        told(len(chunk))
        chunk = file.read(_CHUNK)


def _write(form: LayoutForm, path: Path, out: Path) -> None:
    """Write both files under names that appear only when they are whole."""
    name = "stdin" if str(path) == "-" else path.name.partition(".")[0] or "layer"
    out.mkdir(parents=True, exist_ok=True)
    with _Whole(out / f"{name}.index.erofs") as index, _Whole(out / f"{name}.tree.verity") as tree:
        index.write(form.index)
        form.tree.write(tree)


class _Whole:
    """A file that replaces ``path`` when its context ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> BinaryIO:
        self._file = open(self._part, "wb", buffering=0)
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            with suppress(OSError):
                self._part.unlink()
