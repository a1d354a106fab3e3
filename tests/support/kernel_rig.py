"""Boots Debian's own kernel in qemu and offers it dm-verity devices: many cases a boot.

``.ci/get-kernel-rig`` prepares ``.cache/kernel``. Emulated (TCG) on purpose: a usable KVM cannot be
told from ``/dev/kvm`` alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.efi_variables import with_trusted
from tests.support.tools import ROOT, missing, require

CACHE = ROOT / ".cache" / "kernel"
_GUEST = ROOT / "tests" / "kernel" / "guest"
#: A boot takes 10 to 15 s on two cores; other tests may run beside it.
BOOT_SECONDS = 240
_LINE = re.compile(r"RIG (\S+) ([A-Z]+) ?(.*)")


@dataclass(frozen=True, slots=True)
class Case:
    """One device to open: a disk, its geometry, a root hash and a signature or none."""

    name: str
    disk: str
    root_hash: str
    data_size: int
    hash_offset: int
    signature: bytes | None = None
    options: str = ""


@dataclass(slots=True)
class Outcome:
    """What the guest reported of a case."""

    #: errno of opening; 0 when the kernel accepted.
    opened: int = -1
    reason: str = ""
    mount_error: str | None = None
    read: dict[str, str] = field(default_factory=dict)
    #: Exit status of reading the whole device.
    whole: int | None = None
    status: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Opened, mounted, every file read, every block good."""
        return (
            self.opened == 0
            and self.read.get("files") == self.read.get("read")
            and self.whole == 0
            and self.status == "V"
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A whole boot."""

    kernel: str
    outcomes: Mapping[str, Outcome]


def boot(
    folder: Path,
    cases: Sequence[Case],
    disks: Mapping[str, Path],
    trusted: Sequence[bytes],
    *,
    require_signatures: bool,
) -> Report:
    """Boot once, with ``trusted`` certificates (DER) in UEFI's ``db``, and try every case."""
    qemu = require("qemu-system-x86_64", ".ci/get-kernel-rig")
    if not (CACHE / "ready").exists():
        missing("the kernel rig is not prepared; run .ci/get-kernel-rig")
    devices = {name: f"/dev/vd{chr(ord('a') + number)}" for number, name in enumerate(disks)}
    initrd, variables = folder / "initrd", folder / "variables.fd"
    initrd.write_bytes(_initrd(cases, devices))
    variables.write_bytes(with_trusted((CACHE / "OVMF_VARS.fd").read_bytes(), trusted))
    command = [
        qemu, "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "512", "-smp", "1",
        "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CACHE / 'OVMF_CODE.fd'}",
        "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
        "-kernel", str(CACHE / "vmlinuz"), "-initrd", str(initrd),
        "-append", f"console=ttyS0 panic=-1 quiet rig.require={int(require_signatures)}",
    ]  # fmt: skip
    for path in disks.values():
        command += ["-drive", f"file={path},if=virtio,format=raw,readonly=on"]
    run = subprocess.run(command, capture_output=True, timeout=BOOT_SECONDS, check=False)
    text = run.stdout.decode(errors="replace").replace("\r", "")
    (folder / "console").write_text(text)
    return _report(text, require_signatures)


def _report(text: str, require_signatures: bool) -> Report:
    outcomes: dict[str, Outcome] = {}
    begin = end = ""
    for line in text.splitlines():
        # The firmware leaves terminal escapes before the first line: search, do not match.
        found = _LINE.search(line)
        if not found:
            continue
        name, kind, rest = found.groups()
        if name == "-":
            assert kind != "INSMOD", f"the guest could not load {rest}"
            begin, end = (rest, end) if kind == "BEGIN" else (begin, "seen")
            continue
        _add(outcomes.setdefault(name, Outcome()), kind, rest)
    assert begin, f"the guest never began:\n{text[-3000:]}"
    assert end, f"the guest did not reach its end:\n{text[-3000:]}"
    kernel, _, parameter = begin.partition(" require_signatures=")
    assert parameter == ("Y" if require_signatures else "N"), begin
    return Report(kernel, outcomes)


def _add(outcome: Outcome, kind: str, rest: str) -> None:
    match kind:
        case "OPEN":
            code, _, outcome.reason = rest.partition(" ")
            outcome.opened = int(code)
        case "MOUNT":
            outcome.mount_error = rest
        case "READ":
            outcome.read = dict(pair.split("=", 1) for pair in rest.split())
        case "WHOLE":
            outcome.whole = int(rest)
        case "STATUS":
            outcome.status = rest
        case "LOG":
            outcome.log.append(rest)


def _initrd(cases: Sequence[Case], devices: Mapping[str, str]) -> bytes:
    files = {
        "init": (0o755, (_GUEST / "init.sh").read_bytes()),
        "bin/busybox": (0o755, (CACHE / "busybox").read_bytes()),
        "bin/verity_open": (0o755, (CACHE / "verity_open").read_bytes()),
    }
    for module in sorted((CACHE / "modules").iterdir()):
        files[f"modules/{module.name}"] = (0o644, module.read_bytes())
    lines = []
    for case in cases:
        signature = "-"
        if case.signature is not None:
            signature = f"{case.name}.p7s"
            files[f"cases/{signature}"] = (0o644, case.signature)
        # The superblock takes one block before the levels.
        blocks, start = case.hash_offset // 512, case.hash_offset // 512 + 1
        salt = "00" * 32
        lines.append(
            f"{case.name} {devices[case.disk]} {blocks} {start} {case.root_hash} {salt} "
            f"{signature} {case.options}".rstrip()
        )
    files["cases/list"] = (0o644, "".join(f"{line}\n" for line in lines).encode())
    folders = dict.fromkeys(("bin", "modules", "cases"), (0o40755, b""))
    entries = [*folders.items(), *((n, (0o100000 | m, d)) for n, (m, d) in files.items())]
    return b"".join(_cpio(name, mode, data) for name, (mode, data) in entries) + _cpio(
        "TRAILER!!!", 0, b""
    )


def _cpio(name: str, mode: int, data: bytes) -> bytes:
    """One member of a "newc" archive (Documentation/driver-api/early-userspace)."""
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % each for each in fields) + path
    padded = header.ljust(-(-len(header) // 4) * 4, b"\0")
    return padded + data.ljust(-(-len(data) // 4) * 4, b"\0")
