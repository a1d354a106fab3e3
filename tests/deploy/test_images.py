from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.ports import free_port
from tests.support.tools import ROOT, missing, require

#: Refuses to import what the web image does not have, then imports the web process.
PROBE = """
import importlib.metadata, re, sys
allowed = set(sys.argv[1].split())
owners = importlib.metadata.packages_distributions()

class OnlyTheImage:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        found = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners.get(top, ())}
        if top == "workers" or (found and not found & allowed and top != "app"):
            raise ModuleNotFoundError(f"No module named {name!r} in the web image", name=name)

sys.meta_path.insert(0, OnlyTheImage())
import app.main
"""


#: Starts the web image's process and asks it with the image's own probe.
SERVE = """
cd /tmp && printf 'version: 1\nregistries: []\n' > config.yaml
VERILAYER_CONFIG_FILE=/tmp/config.yaml python -m uvicorn --factory app.main:from_environment \
    --port {port} >/tmp/log 2>&1 &
for _ in $(seq 100); do
    python -m app.observability.probe url http://127.0.0.1:{port}/healthz && break
    sleep 0.2
done
python -m app.observability.probe url http://127.0.0.1:{port}/healthz && echo healthy \\
    || cat /tmp/log
kill $!
"""


def locked(name: str) -> set[str]:
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    return {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.M)}


def test_the_dockerfile_lints() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        missing("hadolint ships for x86-64 Linux only")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_shell_scripts_lint() -> None:
    scripts = sorted(
        path
        for path in (ROOT / ".ci").iterdir()
        if path.is_file() and path.read_text().startswith("#!/usr/bin/env bash")
    )
    assert len(scripts) > 5
    done = subprocess.run(
        [require("shellcheck"), "--severity=warning", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_web_process_needs_nothing_but_what_its_image_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, " ".join(sorted(locked("web")))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_web_image_carries_no_conversion_dependency() -> None:
    assert not {"isal", "zstandard", "asn1crypto", "rich"} & locked("web")
    assert {"isal", "zstandard", "asn1crypto", "rich"} <= locked("worker")


def test_images_are_not_root_and_have_health_checks() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for target in ("web", "worker"):
        stage = re.search(rf"^FROM runtime AS {target}\n(.*?)(?=^FROM |\Z)", text, re.M | re.S)
        assert stage is not None
        assert "USER 10001:10001" in stage.group(1)
        assert "HEALTHCHECK" in stage.group(1)
    assert 'ENTRYPOINT ["/usr/bin/tini", "--"]' in text


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(1500)
def test_images_build_and_run() -> None:
    """The Dockerfile as it is, with a base made by debootstrap; see .ci/build-images."""
    if not (os.environ.get("CI") or os.environ.get("VERILAYER_TEST_IMAGES")):
        pytest.skip("builds for minutes; run make images, or set VERILAYER_TEST_IMAGES=1")
    if os.geteuid() != 0:
        missing("building images without an engine needs root")
    for tool in ("buildah", "debootstrap"):
        require(tool)
    built = subprocess.run(
        [ROOT / ".ci" / "build-images", ROOT / ".cache" / "images"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "verilayer-web" in built.stdout
    assert inside("web", "python -c 'import app.main' && id -u").strip() == "10001"
    assert "No module named 'workers'" in inside("web", "python -c 'import workers' 2>&1 || true")
    assert "Usage: verilayer" in inside("worker", "verilayer --help")
    native = "python -c 'import workers.celery, workers._native as n; print(n.__name__)'"
    assert "workers._native" in inside("worker", native)
    build = "tar -cf /tmp/layer.tar -C / etc/passwd && verilayer layer build --json /tmp/layer.tar"
    assert len(json.loads(inside("worker", build))["root_hash"]) == 64
    assert inside("web", SERVE.format(port=free_port())).strip().endswith("healthy")
    # Only the two writable places are writable by the user.
    assert (
        inside("worker", "touch /opt/verilayer/x 2>/dev/null && echo yes || echo no").strip()
        == "no"
    )


def inside(target: str, command: str) -> str:
    """Run a shell command as the image's user, in the image."""
    tool = [
        *("buildah", "--root", str(ROOT / ".cache/images/storage")),
        *(
            "--runroot",
            str(ROOT / ".cache/images/run"),
            "--storage-driver",
            os.environ.get("STORAGE_DRIVER", "overlay"),
        ),
    ]
    made = subprocess.run(
        [*tool, "from", "--pull=never", f"localhost/verilayer-{target}"],
        capture_output=True,
        text=True,
        check=True,
    )
    container = made.stdout.strip()
    try:
        # Through a file: buildah may drop the last of what a process prints.
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o777)
            mount = ("--isolation", "chroot", "--volume", f"{folder}:/result")
            script = f"({command}\n) >/result/out 2>/result/errors"
            done = subprocess.run(
                [*tool, "run", *mount, container, "--", "sh", "-c", script],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr + (Path(folder) / "errors").read_text()
            return (Path(folder) / "out").read_text()
    finally:
        subprocess.run([*tool, "rm", container], capture_output=True, check=True)
