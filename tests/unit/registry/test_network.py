"""Which addresses are dialled."""

from __future__ import annotations

import socket
import threading

import httpcore
import pytest

from app.errors import AccessRefused
from app.registry.http.network import AddressPolicy, GuardedBackend, PacedStream, refusal


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_some_addresses_are_never_dialled(address: str) -> None:
    assert refusal(address, private_allowed=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1",
        "fd12::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "192.0.2.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_private_addresses_are_dialled_only_where_configured(address: str) -> None:
    assert refusal(address, private_allowed=False)
    assert refusal(address, private_allowed=True) is None


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_dialled(address: str) -> None:
    assert refusal(address, private_allowed=False) is None


def test_only_the_named_host_may_be_private() -> None:
    policy = AddressPolicy(frozenset({"registry.internal"}))
    assert policy.admitted("Registry.Internal", ["10.0.0.1"]) == ["10.0.0.1"]
    with pytest.raises(AccessRefused, match=r"storage\.example may not be contacted"):
        policy.admitted("storage.example", ["10.0.0.1"])
    assert policy.admitted("storage.example", ["10.0.0.1", "1.1.1.1"]) == ["1.1.1.1"]


def test_a_name_is_resolved_once_and_the_judged_address_is_dialled() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    with socket.create_server(("127.0.0.1", 0)) as server:
        backend = GuardedBackend(
            AddressPolicy(frozenset({"registry.internal"})), lambda host, port: next(answers)
        )
        port = server.getsockname()[1]
        stream = backend.connect_tcp("registry.internal", port, timeout=5)
        assert stream.get_extra_info("socket").getpeername() == ("127.0.0.1", port)
        stream.close()
        with pytest.raises(AccessRefused, match=r"169\.254\.169\.254"):
            backend.connect_tcp("registry.internal", port, timeout=5)


def read_all(stream: PacedStream) -> None:
    while stream.read(1, timeout=0.3):
        pass


def test_a_peer_that_trickles_is_given_up_on() -> None:
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            theirs.send(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    stream = PacedStream(ours)
    try:
        with pytest.raises(httpcore.ReadTimeout, match="too slowly"):
            read_all(stream)
    finally:
        stop.set()
        thread.join()
        ours.close()
        theirs.close()
