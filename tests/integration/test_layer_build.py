"""``verilayer layer build`` as a person runs it, judged by the vectors and by veritysetup."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.tools import missing, require
from workers.layers.identity import erofs_uuid

VERILAYER = Path(sys.executable).with_name("verilayer")
UUID = "01234567-89ab-5def-8123-456789abcdef"
FIELDS = [
    "file", "layer_digest", "diff_id", "uuid", "builder_version", "layout", "index_digest",
    "index_size", "tree_digest", "tree_size", "data_size", "hash_offset", "root_hash", "entries",
    "seconds", "warnings",
]  # fmt: skip


def vectors() -> tuple[Path, dict[str, Any]]:
    root = Path(__file__).parents[1] / "vectors"
    if not (root / "manifest.json").exists():
        missing("tests/vectors has no manifest.json")
    return root, json.loads((root / "manifest.json").read_text())


def run(
    *arguments: str | Path, stdin: bytes | None = None, code: int = 0
) -> tuple[list[dict[str, Any]], str]:
    done = subprocess.run(
        [VERILAYER, "layer", "build", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    text = done.stdout.decode()
    lines = [json.loads(line) for line in text.splitlines()] if "--json" in arguments else []
    return lines, text + done.stderr.decode()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_every_vector_is_built_or_refused_as_mkfs_does() -> None:
    root, manifest = vectors()
    names = list(manifest["vectors"])
    refused = {
        name for name in names if "root_hash" not in manifest["vectors"][name]["results"]["std"]
    }
    lines, _ = run(
        "--json", "--uuid", manifest["uuid"], *(root / "tars" / f"{n}.tar" for n in names), code=1
    )
    assert [line["file"] for line in lines] == [str(root / "tars" / f"{n}.tar") for n in names]
    assert {name for name, line in zip(names, lines, strict=True) if "error" in line} == refused
    for name, line in zip(names, lines, strict=True):
        if name in refused:
            assert list(line) == ["file", "error", "detail"]
            assert line["detail"]
            continue
        want = manifest["vectors"][name]["results"]["std"]
        assert list(line) == FIELDS
        assert line["root_hash"] == want["root_hash"], name
        assert line["index_digest"] == "sha256:" + want["index_sha256"]
        assert line["index_size"] == want["index_size"]
        assert line["hash_offset"] == want["hash_offset"]
        assert line["diff_id"] == "sha256:" + manifest["vectors"][name]["tar_sha256"]


@pytest.fixture(scope="module")
def tree() -> tuple[Path, dict[str, Path]]:
    root, _ = vectors()
    forms = {
        form: root / "compressed" / f"tree{form}"
        for form in (".tar.gz", ".multi.tar.gz", ".tar.zst", ".multi.tar.zst")
    }
    return root / "tars" / "tree.tar", {".tar": root / "tars" / "tree.tar", **forms}


def test_compressed_forms_differ_only_in_what_derives_from_their_digest(
    tree: tuple[Path, dict[str, Path]],
) -> None:
    tar, forms = tree
    lines, _ = run("--json", *forms.values())
    for path, line in zip(forms.values(), lines, strict=True):
        assert line["layer_digest"] == sha256(path.read_bytes())
        assert line["uuid"] == str(erofs_uuid(line["layer_digest"]))
        assert line["diff_id"] == sha256(tar.read_bytes())
    assert len({line["root_hash"] for line in lines}) == len(lines)
    digest = lines[0]["layer_digest"]
    lines, _ = run("--json", "--layer-digest", digest, *forms.values())
    assert {line["layer_digest"] for line in lines} == {digest}
    assert len({line["root_hash"] for line in lines}) == 1


@pytest.mark.real
@pytest.mark.parametrize("layout", ["device-table", "single-device"])
@pytest.mark.parametrize("padding", [512, 4096])
def test_veritysetup_accepts_what_is_written(
    tree: tuple[Path, dict[str, Path]], tmp_path: Path, layout: str, padding: int
) -> None:
    veritysetup = require("veritysetup")
    tar, forms = tree
    options: Sequence[str] = ("--layout", layout, "--padding", str(padding))
    (line,), _ = run("--json", "--out", tmp_path / "new" / "out", *options, forms[".tar.gz"])
    out = tmp_path / "new" / "out"
    assert sorted(path.name for path in out.iterdir()) == ["tree.index.erofs", "tree.tree.verity"]
    index, hashes = (out / "tree.index.erofs").read_bytes(), (out / "tree.tree.verity").read_bytes()
    assert (line["index_digest"], line["index_size"]) == (sha256(index), len(index))
    assert (line["tree_digest"], line["tree_size"]) == (sha256(hashes), len(hashes))
    data = index + tar.read_bytes()
    assert line["data_size"] == len(data)
    assert line["hash_offset"] == -(-len(data) // padding) * padding
    blob = tmp_path / "blob"
    blob.write_bytes(data.ljust(line["hash_offset"], b"\0") + hashes)
    verify = [veritysetup, "verify", str(blob), str(blob), f"--hash-offset={line['hash_offset']}"]
    subprocess.run([*verify, line["root_hash"]], check=True, capture_output=True)
    subprocess.run(
        [veritysetup, "verify", blob, out / "tree.tree.verity", line["root_hash"]],
        check=True,
        capture_output=True,
    )
    damaged = bytearray(blob.read_bytes())
    damaged[len(index) + 5] ^= 1
    blob.write_bytes(damaged)
    failed = subprocess.run([*verify, line["root_hash"]], capture_output=True, check=False)
    assert failed.returncode != 0


def test_standard_input_is_a_file_like_any_other(
    tree: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    _, forms = tree
    path = forms[".tar.zst"]
    (piped,), _ = run("--json", "--out", tmp_path, "-", stdin=path.read_bytes())
    (read,), _ = run("--json", path)
    assert piped["file"] == "-"
    assert piped["root_hash"] == read["root_hash"]
    assert (tmp_path / "stdin.index.erofs").exists()


def test_a_refused_file_does_not_stop_the_others(
    tree: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    tar, forms = tree
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(forms[".tar.gz"].read_bytes()[:-20])
    garbage = tmp_path / "garbage.tar"
    garbage.write_bytes(b"this is no tar" * 1000)
    files = [bad, garbage, tmp_path / "absent.tar", tmp_path, tar]
    lines, _ = run("--json", "--out", tmp_path / "out", *files, code=1)
    assert [line.get("error") for line in lines[:1]] == ["gzip-truncated"]
    assert [list(line) for line in lines[:4]] == [["file", "error", "detail"]] * 4
    assert lines[2]["error"] == lines[3]["error"] == "io"
    assert [line["file"] for line in lines] == [str(path) for path in files]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "tree.index.erofs",
        "tree.tree.verity",
    ]


def test_what_is_lost_is_said_and_refused_on_request() -> None:
    root, _ = vectors()
    sparse = root / "tars" / "gnu_sparse_S.tar"
    (line,), text = run("--json", sparse)
    assert line["warnings"]
    assert line["warnings"][0].startswith("sparse-dropped")
    assert "warning: " in text
    (line,), _ = run("--json", "--refuse-lossy", sparse, code=1)
    assert line["error"] == "lossy"


def test_text_for_people_holds_the_root_hash(tree: tuple[Path, dict[str, Path]]) -> None:
    tar, _ = tree
    (line,), _ = run("--json", "--uuid", UUID, tar)
    _, text = run("--uuid", UUID, tar)
    assert line["root_hash"] in text
    assert line["diff_id"] in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--layer-digest", "sha256:12", "x.tar"],
        ["--layer-digest", "md5:" + "0" * 32, "x.tar"],
        ["--uuid", "no", "x.tar"],
        ["--builder-version", "1.7.1", "x.tar"],
        ["--layout", "flat", "x.tar"],
        ["--padding", "1024", "x.tar"],
    ],
)
def test_wrong_usage_is_exit_status_2(arguments: list[str]) -> None:
    run(*arguments, code=2)


def test_builder_versions_give_their_own_bytes() -> None:
    root, _ = vectors()
    tar = root / "tars" / "xattrs_many.tar"
    roots = set()
    for version in ("1.8.6", "1.9", "1.9.3"):
        (line,), _ = run("--json", "--uuid", UUID, "--builder-version", version, tar)
        assert line["builder_version"] == version
        roots.add(line["root_hash"])
    assert len(roots) == 3


def test_an_index_is_dumped_as_text(tree: tuple[Path, dict[str, Path]], tmp_path: Path) -> None:
    tar, _ = tree
    run("--out", tmp_path, tar)
    dump: list[str | Path] = [VERILAYER, "layer", "dump"]
    index = tmp_path / "tree.index.erofs"
    text = subprocess.run([*dump, index], check=True, capture_output=True, text=True).stdout
    assert text.startswith("superblock blocks=")
    data = subprocess.run([*dump, index, "--json"], check=True, capture_output=True).stdout
    assert json.loads(data) == {"file": str(index), "lines": text.splitlines()}
    refused = subprocess.run([*dump, tar, "--json"], check=False, capture_output=True)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"].startswith("erofs-")
