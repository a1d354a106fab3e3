"""Debian's unmodified kernel, with our certificates in UEFI's ``db``, is the judge.

Two boots: one that requires signatures, one that does not. Each refusal has a twin beside it that
is accepted, so that a dead rig cannot pass.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from app.config.model import SignerConfig
from tests.support.certificates import Identity, ec_key, identity, rsa_key
from tests.support.cms_variants import CmsMaker
from tests.support.kernel_rig import Case, Outcome, Report, boot
from tests.support.sample_layer import SampleLayer, convert, make_tar
from workers.formats.pkcs7.acceptance import kernel_findings
from workers.layers.built import LayerOptions
from workers.signing.opening import open_signer

pytestmark = [pytest.mark.real, pytest.mark.qemu, pytest.mark.xdist_group("qemu")]

FLIPS = ("data", "index", "superblock", "tree-top", "tree-leaf")


def _der(each: Identity) -> bytes:
    return each.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(slots=True)
class Bench:
    """Layers, keys, disks and cases of the boots."""

    folder: Path
    layer: SampleLayer
    padded: SampleLayer
    ours: Identity = field(default_factory=lambda: identity("trusted", key=rsa_key(2048)))
    ca: Identity = field(
        default_factory=lambda: identity("ca", key=rsa_key(number=2), ca=True, usages=())
    )
    disks: dict[str, Path] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)

    def disk(self, name: str, data: bytes) -> None:
        self.disks[name] = self.folder / f"{name}.img"
        self.disks[name].write_bytes(data)

    def case(self, name: str, signature: bytes | None, disk: str = "", root: str = "") -> None:
        layer = self.padded if disk == "padded" else self.layer
        form = layer.form("single-device" if disk == "single-device" else "device-table")
        self.cases.append(
            Case(
                name,
                disk or "device-table",
                root or form.root_hash,
                layer.built.facts.data_size,
                layer.built.facts.hash_offset,
                signature,
            )
        )


def _signers(bench: Bench) -> dict[str, Identity]:
    leaf = identity("leaf of ca", key=rsa_key(number=3), issuer=bench.ca)
    return {
        "ours": bench.ours,
        "rsa3072": identity("rsa3072", key=rsa_key(3072)),
        "rsa4096": identity("rsa4096", key=rsa_key(4096)),
        "p256": identity("p256", key=ec_key("p256")),
        "p384": identity("p384", key=ec_key("p384")),
        "rsa2560": identity("rsa2560", key=rsa_key(2560)),
        "p521": identity("p521", key=ec_key("p521")),
        "leaf": leaf,
        "stranger": identity("stranger", key=rsa_key(number=4)),
    }


def _variants(make: CmsMaker, root: str, who: dict[str, Identity]) -> dict[str, bytes]:
    """Name -> signature, by OpenSSL."""
    ours, certs = who["ours"], ("-noattr",)
    good = make.sign(root, ours)
    damaged = good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]
    return {
        "good": good,
        "sha512": make.sign(root, ours, options=("-noattr", "-nocerts", "-md", "sha512")),
        "rsa3072": make.sign(root, who["rsa3072"]),
        "rsa4096": make.sign(root, who["rsa4096"]),
        "p256": make.sign(root, who["p256"]),
        "p384": make.sign(root, who["p384"]),
        "rsa2560": make.sign(root, who["rsa2560"]),
        "p521": make.sign(root, who["p521"]),
        "keyid": make.sign(root, ours, options=("-noattr", "-nocerts", "-keyid")),
        "with-certificate": make.sign(root, ours, options=certs),
        "leaf-with-certificate": make.sign(root, who["leaf"], options=certs),
        "leaf-without-certificate": make.sign(root, who["leaf"]),
        "stranger": make.sign(root, who["stranger"]),
        "damaged": damaged,
        "newline": make.sign(root, ours, content="newline"),
        "raw": make.sign(root, ours, content="raw"),
        "upper": make.sign(root, ours, content="upper"),
        "other-root": make.sign("0" * 64, ours),
        "smime-capabilities": make.sign(root, ours, options=()),
        "signed-attributes": make.sign(root, ours, options=("-nosmimecap",)),
        "pss": make.sign(
            root, ours, options=("-noattr", "-nocerts", "-keyopt", "rsa_padding_mode:pss")
        ),
        "sha1": make.sign(root, ours, options=("-noattr", "-nocerts", "-md", "sha1")),
        "embedded": make.sign(root, ours, detached=False),
        "pem": make.sign(root, ours, form="PEM"),
        "truncated": good[:-1],
        "trailing": good + bytes(4),
        "two-signers": make.sign(root, ours, who["stranger"]),
    }


#: Variant -> errno of Linux 6.12 when the key is trusted where it can be; 0 accepts.
KERNEL = {
    "good": 0, "sha512": 0, "rsa3072": 0, "rsa4096": 0, "p256": 0, "p384": 0, "keyid": 0,
    "with-certificate": 0, "leaf-with-certificate": 0, "signed-attributes": 0,
    "trailing": 0, "two-signers": 0,
    "leaf-without-certificate": errno.ENOKEY, "stranger": errno.ENOKEY,
    "damaged": errno.EKEYREJECTED, "newline": errno.EKEYREJECTED, "raw": errno.EKEYREJECTED,
    "upper": errno.EKEYREJECTED, "other-root": errno.EKEYREJECTED,
    "smime-capabilities": errno.EKEYREJECTED,
    "pss": errno.ENOPKG, "sha1": 0, "rsa2560": errno.ENOKEY, "p521": 0,
    "embedded": errno.EBADMSG, "pem": errno.EBADMSG, "truncated": errno.EBADMSG,
}  # fmt: skip

#: Variants whose *form* is at fault, whoever the key belongs to: our own checks see them too.
FORM = {"smime-capabilities", "pss", "embedded", "pem", "truncated"}
#: The kernel takes these, we do not publish or pass them.
STRICTER = {"sha1", "signed-attributes", "trailing", "two-signers"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("kernel")
    layer = convert(make_tar(), folder / "spool")
    padded = convert(layer.tar, folder / "spool", LayerOptions(padding=4096))
    made = Bench(folder, layer, padded)
    good = layer.disk("device-table")
    made.disk("device-table", good)
    made.disk("single-device", layer.disk("single-device"))
    made.disk("padded", padded.disk("device-table"))
    for name, offset in _flips(layer, good).items():
        made.disk(name, good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1 :])
    yield made
    layer.built.close()
    padded.built.close()


def _flips(layer: SampleLayer, disk: bytes) -> dict[str, int]:
    top = layer.built.facts.hash_offset + 512
    return {
        "data": layer.data_offset("usr/bin/tool-005"),
        "index": len(layer.built.device_table.index) - 40,
        "superblock": 1024 + 80,
        "tree-top": top + 3,
        "tree-leaf": len(disk) - 512 - (len(disk) - top) // 2,
    }


def _fill(bench: Bench) -> None:
    """Cases of the boot that requires signatures."""
    key, certificate = bench.ours.write(bench.folder, name="ours")
    signer = open_signer(
        SignerConfig(name="rig", kind="pem", key=str(key), certificate=str(certificate)),
        bench.folder,
    )
    facts = bench.layer.built.facts
    assert facts.single_device_root_hash is not None
    ours = signer.sign(facts.root_hash)
    bench.case("ours", ours)
    bench.case("ours-single-device", signer.sign(facts.single_device_root_hash), "single-device")
    bench.case("ours-padded", signer.sign(bench.padded.built.facts.root_hash), "padded")
    bench.case("no-signature", None)
    wrong = "f" + facts.root_hash[1:] if facts.root_hash[0] != "f" else "0" + facts.root_hash[1:]
    bench.case("wrong-root-signed", signer.sign(wrong), root=wrong)
    bench.case("wrong-root", ours, root=wrong)
    for name in FLIPS:
        bench.case(f"flip-{name}", ours, name)


@pytest.fixture(scope="module")
def required(bench: Bench) -> Report:
    """The boot with require_signatures=1."""
    who = _signers(bench)
    _fill(bench)
    variants = _variants(CmsMaker(bench.folder), bench.layer.built.facts.root_hash, who)
    assert set(variants) == set(KERNEL)
    for name, signature in variants.items():
        bench.case(f"cms-{name}", signature)
    trusted = [each for name, each in who.items() if name not in ("leaf", "stranger")]
    return boot(
        bench.folder,
        bench.cases,
        bench.disks,
        [_der(each) for each in (*trusted, bench.ca)],
        require_signatures=True,
    )


@pytest.fixture(scope="module")
def optional(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The boot with require_signatures=0 and no key of ours in the firmware."""
    facts = bench.layer.built.facts
    key, certificate = bench.ours.write(bench.folder, name="ours")
    signer = open_signer(
        SignerConfig(name="rig", kind="pem", key=str(key), certificate=str(certificate)),
        bench.folder,
    )
    cases = [
        Case(
            "unsigned",
            "device-table",
            facts.root_hash,
            facts.data_size,
            facts.hash_offset,
        ),
        Case(
            "untrusted",
            "device-table",
            facts.root_hash,
            facts.data_size,
            facts.hash_offset,
            signer.sign(facts.root_hash),
        ),
    ]
    disks = {"device-table": bench.disks["device-table"]}
    stranger = identity("nobody of ours", key=rsa_key(number=4))
    return boot(
        tmp_path_factory.mktemp("boot"), cases, disks, [_der(stranger)], require_signatures=False
    )


def _reads_all(outcome: Outcome, layer: SampleLayer) -> bool:
    return (
        outcome.intact
        and outcome.read["all"] == layer.all_files
        and int(outcome.read["files"]) == layer.files
    )


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required",
    format="both layouts, both paddings, our PKCS#7",
)
@pytest.mark.parametrize("name", ["ours", "ours-single-device", "ours-padded", "cms-good"])
def test_our_signature_opens_and_every_file_reads(
    required: Report, bench: Bench, name: str
) -> None:
    assert _reads_all(required.outcomes[name], bench.layer), required.outcomes[name]


def test_both_layouts_show_the_same_tree(required: Report) -> None:
    one, other = required.outcomes["ours"], required.outcomes["ours-single-device"]
    assert one.read["tree"] == other.read["tree"]


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required", format="no signature (refused)"
)
def test_a_missing_signature_is_refused_where_it_is_required(
    required: Report, optional: Report, bench: Bench
) -> None:
    assert required.outcomes["no-signature"].opened == errno.ENOKEY
    assert _reads_all(optional.outcomes["unsigned"], bench.layer)


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required", format="unknown key (refused)"
)
def test_a_key_that_is_not_in_the_firmware_is_refused(required: Report, optional: Report) -> None:
    assert optional.outcomes["untrusted"].opened == errno.ENOKEY
    assert required.outcomes["ours"].opened == 0


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required", format="wrong root hash (refused)"
)
def test_a_wrong_root_hash_is_refused(required: Report) -> None:
    assert required.outcomes["wrong-root"].opened == errno.EKEYREJECTED
    # Rightly signed, the device opens: a wrong root shows when the first block is read.
    signed = required.outcomes["wrong-root-signed"]
    assert signed.opened == 0
    assert signed.mount_error is not None
    assert signed.status == "C"


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required",
    format="flipped bit in data, index, tree (refused)",
)
@pytest.mark.parametrize("name", FLIPS)
def test_one_flipped_bit_is_found(required: Report, name: str) -> None:
    outcome = required.outcomes[f"flip-{name}"]
    assert outcome.opened == 0, "corruption is found on reading, not on opening"
    assert not outcome.intact
    assert outcome.whole != 0
    assert outcome.status == "C"


def test_a_flipped_byte_spoils_its_file_only(required: Report, bench: Bench) -> None:
    read = required.outcomes["flip-data"].read
    assert int(read["files"]) == bench.layer.files
    assert int(read["read"]) == bench.layer.files - 1


@pytest.mark.interop(
    reader="Linux 6.12 in qemu, signatures required",
    format="other forms of PKCS#7, as verify judges them",
)
@pytest.mark.parametrize("name", KERNEL)
def test_signature_forms(required: Report, bench: Bench, name: str) -> None:
    outcome = required.outcomes[f"cms-{name}"]
    assert outcome.opened == KERNEL[name], outcome
    if not outcome.opened:
        assert _reads_all(outcome, bench.layer)
    signature = next(case.signature for case in bench.cases if case.name == f"cms-{name}")
    assert signature is not None
    by = {finding.refused_by for finding in kernel_findings(signature)}
    assert ("kernel" in by) == (name in FORM)
    assert ("policy" in by) == (name in STRICTER)
