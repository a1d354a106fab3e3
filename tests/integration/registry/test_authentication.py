"""Accounts against real registries: htpasswd and a token server, in every form they are given."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import AccessRefused, ConfigurationError, Unauthorized
from app.oci.descriptor import Descriptor
from app.oci.digest import Digest
from app.registry.transfer.sources import BytesSource
from tests.support.artifacts import LAYER, artifact, push_image
from tests.support.faultproxy import fault_proxy
from tests.support.registries import FLAVOURS, PASSWORD, USER, RunningRegistry, docker_registry
from tests.support.tokenserver import TokenServer, token_server

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=FLAVOURS)
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningRegistry, RunningRegistry, TokenServer]]:
    """One flavour with htpasswd, and with a token server."""
    root = tmp_path_factory.mktemp("guarded")
    with (
        token_server() as tokens,
        docker_registry(root, request.param, auth="htpasswd") as basic,
        docker_registry(root, request.param, auth=tokens) as bearer,
    ):
        yield basic, bearer, tokens


@pytest.fixture
def basic(guarded: tuple[RunningRegistry, RunningRegistry, TokenServer]) -> RunningRegistry:
    return guarded[0]


@pytest.fixture
def bearer(guarded: tuple[RunningRegistry, RunningRegistry, TokenServer]) -> RunningRegistry:
    return guarded[1]


@pytest.fixture
def tokens(
    guarded: tuple[RunningRegistry, RunningRegistry, TokenServer],
) -> Iterator[TokenServer]:
    server = guarded[2]
    server.requests.clear()
    yield server
    server.refresh_tokens.clear()
    server.stated_life, server.real_life = 300, 300
    server.anonymous_pull = server.rotate = False


def everything(server: RunningRegistry, repository: str, **fields: Any) -> None:
    """Push, attach, list, mount, detach and read with one account."""
    registry = server.open(**fields)
    try:
        image = push_image(registry, repository, "v1", b"layer of " + repository.encode())
        manifest = artifact(image, "application/a")
        registry.attach(repository, manifest)
        assert [e.digest for e in registry.list_referrers(repository, image.digest)] == [
            manifest.digest
        ]
        layer = Digest.of(b"layer of " + repository.encode())
        assert registry.mount_blob(repository + "/copy", layer, repository)
        registry.detach(repository, image.digest, manifest.digest)
        assert registry.list_referrers(repository, image.digest) == []
        assert list(registry.list_tags(repository)) == ["v1"]
        assert repository in list(registry.list_repositories())
    finally:
        registry.close()


def config_json(directory: Path, **document: object) -> dict[str, Any]:
    """Write a docker configuration and return the credentials that name it."""
    path = directory / "config.json"
    path.write_text(json.dumps(document))
    return {"kind": "docker-config", "docker_config": str(path)}


def auth(user: str = USER, secret: str = PASSWORD) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


def test_htpasswd(basic: RunningRegistry, repository: str) -> None:
    everything(basic, repository)


def test_token_server(bearer: RunningRegistry, tokens: TokenServer, repository: str) -> None:
    everything(bearer, repository)
    scopes = {tuple(sorted(request["scopes"])) for request in tokens.requests}
    assert (f"repository:{repository}:pull,push",) in scopes
    assert len(tokens.requests) == len(scopes), "a token was fetched twice"


def test_identity_token_rotates(
    bearer: RunningRegistry, tokens: TokenServer, repository: str
) -> None:
    tokens.refresh_tokens.add("first")
    tokens.rotate = True
    account = {"kind": "identity-token", "password": {"value": "first"}}
    everything(bearer, repository, credentials=account)
    assert {request["method"] for request in tokens.requests} == {"POST"}


def test_docker_config(
    basic: RunningRegistry, bearer: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    account = config_json(tmp_path, auths={basic.host: auth(), f"https://{bearer.host}": auth()})
    everything(basic, repository, credentials=account)
    everything(bearer, repository, credentials=account)


def test_docker_config_with_identity_token(
    bearer: RunningRegistry, tokens: TokenServer, repository: str, tmp_path: Path
) -> None:
    tokens.refresh_tokens.add("configured")
    account = config_json(tmp_path, auths={bearer.host: {"identitytoken": "configured"}})
    everything(bearer, repository, credentials=account)


def test_docker_config_is_read_again_when_it_changes(
    basic: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    account = config_json(tmp_path, auths={basic.host: auth(secret="old")})
    registry = basic.open(credentials=account)
    with pytest.raises(Unauthorized):
        push_image(registry, repository, "v1", b"x")
    config_json(tmp_path, auths={basic.host: auth()})
    push_image(registry, repository, "v1", b"x")
    registry.close()


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_credential_helper(
    basic: RunningRegistry,
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    helper = tmp_path / "docker-credential-test"
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    script = f"#!/bin/sh\nread host\n[ \"$host\" = {basic.host} ] && echo '{answer}'\n"
    helper.write_text(script + f"echo $host >> {tmp_path}/asked\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    named: object = {basic.host: "test"} if key == "credHelpers" else "test"
    everything(basic, repository, credentials=config_json(tmp_path, **{key: named}))
    assert (tmp_path / "asked").read_text() == f"{basic.host}\n"


def test_a_helper_that_is_not_there_is_named(
    basic: RunningRegistry, repository: str, tmp_path: Path
) -> None:
    account = config_json(tmp_path, credsStore="nowhere")
    registry = basic.open(credentials=account)
    with pytest.raises(ConfigurationError, match="docker-credential-nowhere"):
        registry.resolve(repository, "v1")
    registry.close()


@pytest.mark.parametrize(
    "account",
    [
        {"kind": "anonymous"},
        {"kind": "basic", "username": USER, "password": {"value": "wr0ng-secret"}},
        {"kind": "identity-token", "password": {"value": "wr0ng-secret"}},
    ],
)
def test_a_wrong_account_is_unauthorized_and_not_quoted(
    basic: RunningRegistry,
    bearer: RunningRegistry,
    tokens: TokenServer,
    repository: str,
    account: dict[str, Any],
) -> None:
    for server in (basic, bearer):
        registry = server.open(credentials=account)
        with pytest.raises(Unauthorized) as caught:
            registry.resolve(repository, "v1")
        assert "wr0ng-secret" not in str(caught.value) + repr(caught.value)
        registry.close()


def test_anonymous_pull_through_a_token_server(
    bearer: RunningRegistry, tokens: TokenServer, repository: str
) -> None:
    writer = bearer.open()
    image = push_image(writer, repository, "v1", b"public")
    writer.close()
    tokens.anonymous_pull = True
    registry = bearer.open(credentials={"kind": "anonymous"})
    assert registry.resolve(repository, "v1").digest == image.digest
    with pytest.raises(Unauthorized):
        registry.push_manifest(repository, image, "v2")
    registry.close()


@pytest.mark.parametrize("upload", ["monolithic", "chunked"])
@pytest.mark.parametrize("stated", [300, None])
def test_a_token_that_expires_in_the_middle_of_an_upload(
    bearer: RunningRegistry,
    tokens: TokenServer,
    repository: str,
    upload: str,
    stated: int | None,
) -> None:
    data = os.urandom(300_000)
    blob = Descriptor(media_type=LAYER, digest=Digest.of(data), size=len(data))
    quirks = {"upload": upload, "chunk_bytes": 1 << 16}
    tokens.stated_life = stated
    with fault_proxy(bearer.host) as proxy:
        proxy.challenge = (
            f'Bearer realm="{tokens.realm}",service="{tokens.service}",'
            f'scope="repository:{repository}:pull,push",error="invalid_token"'
        )
        registry = bearer.open(url=proxy.url, quirks=quirks)
        proxy.arm("401", r"^(PUT|PATCH) .*/blobs/uploads/", skip=upload == "chunked")
        registry.push_blob(repository, blob, BytesSource(data))
        assert proxy.hits == 1
        assert registry.read_blob(repository, blob, max_bytes=1 << 20) == data
        registry.close()


def test_a_realm_elsewhere_gets_no_credentials(
    basic: RunningRegistry, tokens: TokenServer, repository: str
) -> None:
    with fault_proxy(basic.host) as proxy:
        port = tokens.realm.partition("://")[2].partition("/")[0].partition(":")[2]
        proxy.challenge = f'Bearer realm="http://localhost:{port}/token",service="x"'
        proxy.arm("401", times=1000)
        registry = basic.open(url=proxy.url)
        with pytest.raises(AccessRefused, match="auth_hosts"):
            registry.resolve(repository, "v1")
        assert tokens.requests == []
        registry.close()
