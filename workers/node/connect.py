"""Registry clients for the images a node pulls, one per host, kept open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.config.model import RegistryConfig
from app.oci.reference import DOCKER_HUB, DOCKER_HUB_REGISTRY, Reference
from app.registry.auth.credentials import default_docker_config
from app.registry.coordination import LocalCoordination
from app.registry.factory import open_registry
from app.registry.protocols import Registry
from app.registry.repository import Repository

#: Docker Hub is not where its references say.
_ELSEWHERE = {DOCKER_HUB: DOCKER_HUB_REGISTRY}


class Registries:
    """Opens clients by the host of a reference: as configured, else over HTTPS.

    Credentials come from the configuration, or from Docker's ``config.json`` where there is one.
    """

    def __init__(
        self, configured: Sequence[RegistryConfig] = (), *, plain_http: Sequence[str] = ()
    ) -> None:
        """``plain_http`` names hosts that are spoken to without TLS."""
        self._configured = {each.reference_host: each for each in configured}
        self._plain = frozenset(plain_http)
        self._coordination = LocalCoordination()
        self._open: dict[str, Registry] = {}

    def repository(self, reference: Reference) -> Repository:
        """Return the repository of a reference. Raises ``ConfigurationError``."""
        host = reference.registry
        if host not in self._open:
            config = self._configured.get(host) or self._derived(host)
            self._open[host] = open_registry(config, self._coordination)
        return Repository(self._open[host], reference.repository)

    def close(self) -> None:
        """Close all clients."""
        for registry in self._open.values():
            registry.close()
        self._open.clear()

    def _derived(self, host: str) -> RegistryConfig:
        scheme = "http" if host in self._plain else "https"
        values: dict[str, Any] = {
            "id": "node",
            "url": f"{scheme}://{_ELSEWHERE.get(host, host)}",
            "host": host,
            # A node pulls from where its pods say, private networks included.
            "allow_private_addresses": True,
        }
        if default_docker_config().is_file():
            values["credentials"] = {"kind": "docker-config"}
        return RegistryConfig.model_validate(values)
