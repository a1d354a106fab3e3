"""Keys that are kept elsewhere: each signs like the PEM key, each failure says who must act."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from app.config.model import SignerConfig
from app.errors import ConfigurationError, SignerUnavailable, SigningRefused
from tests.support import key_keepers
from tests.support.certificates import Identity, ec_key, identity, rsa_key
from tests.support.tools import missing, require
from workers.signing.certificates import CertificateChain, utc_now
from workers.signing.opening import open_signer
from workers.signing.signer import Pkcs7Signer

ROOT = "0dcd29977f675344645e8c907b5a86b490335e7a2657a2ba45d00e7944701eed"
PIN = "1234"


class Home:
    """An identity on disk, and what a PEM signer makes of it."""

    def __init__(self, folder: Path, who: Identity | None = None) -> None:
        self.who = who or identity()
        self.folder = folder
        self.key, self.certificate = self.who.write(folder)

    def config(self, kind: str, key: str | None = None, **more: object) -> SignerConfig:
        return SignerConfig.model_validate(
            {"name": "k", "kind": kind, "key": key, "certificate": str(self.certificate)} | more
        )

    def open(self, kind: str, key: str | None = None, **more: object) -> Pkcs7Signer:
        return open_signer(self.config(kind, key, **more), self.folder)

    @property
    def expected(self) -> bytes:
        return self.open("pem", str(self.key)).sign(ROOT)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_command_signs(home: Home) -> None:
    command = ("openssl", "dgst", "-sha256", "-sign", str(home.key))
    assert home.open("command", command=command).sign(ROOT) == home.expected


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/nonexistent/program",), "No such file"),
        (("sh", "-c", "echo cannot reach it >&2; exit 7"), "ended with 7: cannot reach it"),
        (("true",), "wrote 0 bytes"),
        (("sleep", "5"), "timed out"),
    ],
)
def test_a_command_that_fails_is_unavailable(
    home: Home, command: tuple[str, ...], reason: str
) -> None:
    signer = home.open("command", command=command, options={"timeout": "0.3"})
    with pytest.raises(SignerUnavailable, match=reason):
        signer.sign(ROOT)


def test_what_a_keeper_returns_is_verified(home: Home) -> None:
    with pytest.raises(SigningRefused, match="does not verify"):
        home.open("command", command=("echo", "nonsense")).sign(ROOT)
    with pytest.raises(ConfigurationError, match="needs a command"):
        home.open("command")


def _tokens(folder: Path) -> str:
    """Initialise a SoftHSM token below ``folder``; returns the module."""
    require("softhsm2-util")
    places = [Path("/usr/lib/softhsm"), *Path("/usr/lib").glob("*/softhsm")]
    modules = [each / "libsofthsm2.so" for each in places]
    module = next((str(each) for each in modules if each.exists()), None)
    if module is None:
        missing("libsofthsm2.so is not installed; run .ci/test-packages")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    _softhsm("--init-token", "--free", "--label", "signing", "--so-pin", "0000")
    assert module is not None
    return module


def _softhsm(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments, "--pin", PIN], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("softhsm")
    before = os.environ.get("SOFTHSM2_CONF")
    module = _tokens(folder)
    homes = {}
    for label, number, key in (("rsa", "A1", rsa_key()), ("ec", "A2", ec_key())):
        (folder / label).mkdir()
        homes[label] = Home(folder / label, identity(key=key))
        _softhsm("--import", str(homes[label].key), "--token", "signing",
                 "--label", label, "--id", number)  # fmt: skip
    yield SimpleNamespace(module=module, homes=homes)
    if before is None:
        os.environ.pop("SOFTHSM2_CONF")
    else:
        os.environ["SOFTHSM2_CONF"] = before


def _pkcs11(hsm: SimpleNamespace, label: str, uri: str, pin: str = PIN) -> Pkcs7Signer:
    home: Home = hsm.homes[label]
    return home.open(
        "pkcs11", uri, passphrase={"value": pin}, options={"module": hsm.module}, allow_ecdsa=True
    )


@pytest.mark.parametrize("uri", ["pkcs11:token=signing;object=rsa", "pkcs11:token=signing;id=%A1"])
def test_pkcs11_signs_like_the_pem_key(hsm: SimpleNamespace, uri: str) -> None:
    assert _pkcs11(hsm, "rsa", uri).sign(ROOT) == hsm.homes["rsa"].expected


def test_pkcs11_signs_with_ecdsa(hsm: SimpleNamespace) -> None:
    # Verified by the signer itself; ECDSA is randomised, so there is nothing to compare with.
    assert _pkcs11(hsm, "ec", "pkcs11:token=signing;object=ec").sign(ROOT)


def _forked(work: Callable[[], bytes]) -> bytes | str:
    """Result of ``work`` in a forked process, or its error's type and text."""
    context = multiprocessing.get_context("fork")
    parent, child = context.Pipe()

    def run() -> None:
        try:
            child.send(work())
        except Exception as error:
            child.send(f"{type(error).__name__}: {error}")

    process = context.Process(target=run)
    process.start()
    assert parent.poll(20), "the forked process did not answer"
    answer: bytes | str = parent.recv()
    process.join(20)
    return answer


@pytest.mark.parametrize(
    ("uri", "pin", "expected"),
    [
        ("pkcs11:token=signing;object=rsa", "9999", "SigningRefused: pkcs11: PinIncorrect"),
        ("pkcs11:token=signing;object=absent", PIN, "SigningRefused: pkcs11: NoSuchKey"),
        ("pkcs11:token=absent;object=rsa", PIN, "SignerUnavailable: pkcs11: NoSuchToken"),
    ],
)
def test_pkcs11_failures(hsm: SimpleNamespace, uri: str, pin: str, expected: str) -> None:
    # Forked: whether a process is logged in would hide a wrong PIN.
    signer = _pkcs11(hsm, "rsa", uri, pin)
    answer = _forked(lambda: signer.sign(ROOT))
    assert isinstance(answer, str)
    assert answer.startswith(expected)


def test_pkcs11_survives_a_fork(hsm: SimpleNamespace) -> None:
    signer = _pkcs11(hsm, "rsa", "pkcs11:token=signing;object=rsa")
    other = _pkcs11(hsm, "rsa", "pkcs11:token=signing;id=%A1")
    expected = signer.sign(ROOT)
    assert _forked(lambda: signer.sign(ROOT)) == expected
    assert _forked(lambda: signer.sign(ROOT) + other.sign(ROOT) + signer.sign(ROOT)) == (
        3 * expected
    )
    assert signer.sign(ROOT) == expected


@pytest.mark.parametrize("uri", ["", "file:/x", "pkcs11:token=only", "pkcs11:"])
def test_pkcs11_uris_that_name_no_key(home: Home, uri: str) -> None:
    with pytest.raises(ConfigurationError):
        home.open("pkcs11", uri, options={"module": "/x.so"})


def test_vault_transit_signs(home: Home) -> None:
    with key_keepers.serving(key_keepers.vault(home.who, "layers", "t0ken")) as keeper:
        options = {"address": keeper.url}
        token = {"value": "t0ken"}
        signer = home.open("vault", "layers", passphrase=token, options=options)
        assert signer.sign(ROOT) == home.expected
        wrong = home.open("vault", "layers", passphrase={"value": "no"}, options=options)
        with pytest.raises(SigningRefused, match="permission denied"):
            wrong.sign(ROOT)
        keeper.fail_with = 503
        with pytest.raises(SignerUnavailable, match="vault"):
            signer.sign(ROOT)
    with pytest.raises(SignerUnavailable, match="vault"):
        signer.sign(ROOT)


def test_aws_kms_signs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with key_keepers.serving(key_keepers.aws(home.who, "alias/layers")) as keeper:
        options = {"endpoint": keeper.url, "region": "eu-central-1"}
        signer = home.open("aws-kms", "alias/layers", options=options)
        assert signer.sign(ROOT) == home.expected
        with pytest.raises(SigningRefused, match="NotFoundException"):
            home.open("aws-kms", "alias/none", options=options).sign(ROOT)
        keeper.fail_with = 500
        with pytest.raises(SignerUnavailable, match="aws kms"):
            signer.sign(ROOT)


class _Token:
    """An azure credential that has its token already."""

    def get_token(self, *scopes: str, **options: object) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("t0ken", 2**33)


def _server_identity(folder: Path) -> tuple[Path, Path]:
    key = rsa_key(number=5)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    import ipaddress

    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(hours=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    where = folder / "tls.crt"
    where.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return where, Identity(key, certificate).write(folder, name="tls-key")[0]


def test_azure_key_vault_signs(home: Home) -> None:
    from workers.signing.keys.azure_kms import AzureKmsKey

    tls = _server_identity(home.folder)
    chain = CertificateChain(home.who.certificate)
    options = {"ca_file": str(tls[0]), "verify_resource": "false"}
    with key_keepers.serving(key_keepers.azure(home.who, "t0ken"), tls) as keeper:
        key = AzureKmsKey(f"{keeper.url}/keys/k/1", lambda: chain, options, _Token())
        assert Pkcs7Signer("k", key).sign(ROOT) == home.expected
        gone = AzureKmsKey(f"{keeper.url}/keys/none/1", lambda: chain, options, _Token())
        with pytest.raises(SigningRefused, match="azure"):
            Pkcs7Signer("k", gone).sign(ROOT)


def test_google_kms_signs(home: Home) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import kms
    from google.cloud.kms_v1.services.key_management_service.transports import (
        KeyManagementServiceRestTransport,
    )

    from workers.signing.keys.gcp_kms import GcpKmsKey

    name = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    chain = CertificateChain(home.who.certificate)
    with key_keepers.serving(key_keepers.gcp(home.who, name)) as keeper:
        transport = KeyManagementServiceRestTransport(
            host=keeper.url.partition("://")[2],
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            url_scheme="http",
        )
        client = kms.KeyManagementServiceClient(transport=transport)
        key = GcpKmsKey(name, lambda: chain, {}, client)
        assert Pkcs7Signer("k", key).sign(ROOT) == home.expected
        other = GcpKmsKey(name + "0", lambda: chain, {}, client)
        with pytest.raises(SigningRefused, match="google kms"):
            Pkcs7Signer("k", other).sign(ROOT)
        keeper.fail_with = 500
        with pytest.raises(SignerUnavailable, match="google kms"):
            Pkcs7Signer("k", key).sign(ROOT)
