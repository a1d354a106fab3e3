"""PEM keys against OpenSSL, the reference for the bytes."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from app.config.model import SignerConfig
from app.errors import ConfigurationError, SigningRefused
from tests.support.certificates import SERVER_AUTH, Identity, ec_key, identity, rsa_key
from workers.signing.opening import open_signer

ROOT = "0dcd29977f675344645e8c907b5a86b490335e7a2657a2ba45d00e7944701eed"


def _config(key: Path, certificate: Path, **more: object) -> SignerConfig:
    return SignerConfig.model_validate(
        {"name": "k", "kind": "pem", "key": str(key), "certificate": str(certificate), **more}
    )


def _smime(tmp_path: Path, key: Path, certificate: Path, *options: str) -> bytes:
    content = tmp_path / "root.hex"
    content.write_text(ROOT)
    command = ["openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der"]
    command += ["-in", str(content), "-inkey", str(key), "-signer", str(certificate), *options]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
@pytest.mark.parametrize("embed", [True, False])
def test_equals_openssl_byte_for_byte(tmp_path: Path, bits: int, embed: bool) -> None:
    key, certificate = identity(key=rsa_key(bits)).write(tmp_path)
    signer = open_signer(_config(key, certificate, embed_certificate=embed), tmp_path)
    expected = _smime(tmp_path, key, certificate, *([] if embed else ["-nocerts"]))
    assert signer.sign(ROOT) == expected
    assert signer.sign(ROOT) == expected


def test_a_chain_is_embedded_leaf_and_issuer(tmp_path: Path) -> None:
    ca = identity("ca", key=rsa_key(number=1), ca=True, usages=())
    key, certificate = identity("leaf", issuer=ca).write(tmp_path, chain=[ca])
    extra = tmp_path / "ca.pem"
    extra.write_bytes(ca.pem)
    signer = open_signer(_config(key, certificate), tmp_path)
    assert signer.sign(ROOT) == _smime(tmp_path, key, certificate, "-certfile", str(extra))


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    key, certificate = identity().write(tmp_path, passphrase=b"s3cret")
    plain = _config(key, certificate, passphrase={"value": "s3cret"})
    assert open_signer(plain, tmp_path).sign(ROOT)
    with pytest.raises(ConfigurationError, match="not with this passphrase"):
        open_signer(_config(key, certificate, passphrase={"value": "wrong"}), tmp_path)
    with pytest.raises(ConfigurationError, match="not with this passphrase"):
        open_signer(_config(key, certificate), tmp_path)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"ends": timedelta(hours=-1)}, "expired at"),
        ({"starts": timedelta(hours=1)}, "not valid before"),
        ({"usages": (SERVER_AUTH,)}, "lacks the extended key usage Code Signing"),
        ({"usages": ()}, "lacks the extended key usage Code Signing"),
        ({"ca": True}, "key usage excludes digital signatures"),
        ({"key": rsa_key(1024)}, "RSA with 1024 bits"),
        ({"key": rsa_key(2560)}, "RSA with 2560 bits"),
        ({"key": ec_key()}, "the key is not RSA"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_unfit_certificates_are_refused_at_start(
    tmp_path: Path, made: dict[str, object], reason: str
) -> None:
    key, certificate = identity(**made).write(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(SigningRefused, match=reason):
        open_signer(_config(key, certificate), tmp_path)


@pytest.mark.parametrize(("curve", "accepted"), [("p256", True), ("p384", True), ("p521", False)])
def test_ecdsa_is_opt_in(tmp_path: Path, curve: str, accepted: bool) -> None:
    key, certificate = identity(key=ec_key(curve)).write(tmp_path)
    config = _config(key, certificate, allow_ecdsa=True)
    if accepted:
        assert open_signer(config, tmp_path).sign(ROOT)
    else:
        with pytest.raises(SigningRefused, match="curve secp521r1"):
            open_signer(config, tmp_path)


def test_key_and_certificate_must_belong_together(tmp_path: Path) -> None:
    key, _ = identity().write(tmp_path, name="one")
    _, certificate = identity(key=rsa_key(number=1)).write(tmp_path, name="two")
    with pytest.raises(ConfigurationError, match="is not the key of"):
        open_signer(_config(key, certificate), tmp_path)


def test_chains_must_be_in_order(tmp_path: Path) -> None:
    stranger = identity("stranger", key=rsa_key(number=1), ca=True, usages=())
    key, certificate = identity("leaf").write(tmp_path, chain=[stranger])
    with pytest.raises(SigningRefused, match="did not issue the one before it"):
        open_signer(_config(key, certificate), tmp_path)


@pytest.mark.parametrize("text", ["", "ABC", ROOT.upper(), ROOT + "\n", ROOT[:-1]])
def test_only_root_hashes_are_signed(tmp_path: Path, text: str) -> None:
    key, certificate = identity().write(tmp_path)
    with pytest.raises(SigningRefused, match="not 64 lowercase hexadecimal characters"):
        open_signer(_config(key, certificate), tmp_path).sign(text)


def _replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.replace(new, path)


def test_rotation_takes_over_only_a_whole_pair(tmp_path: Path) -> None:
    old = identity("old")
    key, certificate = old.write(tmp_path)
    new: Identity = identity("new", key=rsa_key(number=1))
    folder = tmp_path / "next"
    folder.mkdir()
    new_key, new_certificate = new.write(folder)
    signer = open_signer(_config(key, certificate), tmp_path)
    before = signer.sign(ROOT)
    _replace(key, new_key.read_bytes())
    assert signer.sign(ROOT) == before
    _replace(certificate, new_certificate.read_bytes())
    assert signer.sign(ROOT) == _smime(tmp_path, new_key, new_certificate)
    assert signer.chain.leaf == new.certificate


def test_an_ephemeral_key_is_made_once(tmp_path: Path) -> None:
    config = SignerConfig(name="demo", kind="ephemeral")
    first = open_signer(config, tmp_path)
    assert open_signer(config, tmp_path).chain == first.chain
    assert (tmp_path / "keys" / "demo.key").stat().st_mode & 0o777 == 0o600
