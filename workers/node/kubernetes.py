"""Images of the pods on this node, from the Kubernetes API: list, then watch, again and again.

Only GET on pods is used, narrowed to one node (``spec.nodeName``), so a DaemonSet needs no more
than ``list`` and ``watch`` on pods. Names are completed as the kubelet does (``nginx`` is
``docker.io/library/nginx:latest``).
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.errors import ConfigurationError, ResponseInvalid, Unavailable
from app.observability.logging import get_logger
from app.oci.reference import DOCKER_HUB, DOCKER_HUB_INDEX, Reference

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KINDS = ("initContainers", "containers", "ephemeralContainers")
#: How long one watch lasts, in seconds; then the list is read again.
_WATCH_SECONDS = 290
_MAX_LINE = 8 << 20
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the API server is and how this pod proves itself; the token file is read each time."""

    url: str
    node: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str]) -> ClusterAccess:
        """From what the kubelet gives every pod, and ``NODE_NAME`` of the manifest.

        Raises ``ConfigurationError``.
        """
        try:
            host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
            node = environ["NODE_NAME"]
        except KeyError as error:
            raise ConfigurationError(
                f"{error.args[0]} is not set",
                advice="--kubernetes works in a pod; see docs/nodes.md",
            ) from None
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", node, _ACCOUNT / "token", _ACCOUNT / "ca.crt")


def normalised(image: str) -> Reference | None:
    """Complete an image name as the kubelet does; None when it cannot be pulled."""
    first, slash, rest = image.partition("/")
    if not slash:
        image = f"{DOCKER_HUB}/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"{DOCKER_HUB}/{image}"
    elif first in (DOCKER_HUB, DOCKER_HUB_INDEX) and "/" not in rest:
        image = f"{DOCKER_HUB}/library/{rest}"
    try:
        return Reference.parse(image)
    except ValueError:
        return None


def images_of(pod: Mapping[str, Any]) -> set[str]:
    """Images that a pod names, as it names them."""
    spec = pod.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    containers = [each for kind in _KINDS for each in spec.get(kind) or ()]
    return {each["image"] for each in containers if isinstance(each.get("image"), str)}


class NodePods:
    """Follows the pods of one node in a thread of its own; ``images`` is what they name now."""

    def __init__(
        self, access: ClusterAccess, changed: Callable[[], None], stopped: threading.Event
    ) -> None:
        """``changed`` is called from the thread whenever the set may be another one."""
        self._access = access
        self._changed = changed
        self._stopped = stopped
        self._pods: dict[str, set[str]] = {}
        self._client = httpx.Client(
            base_url=access.url,
            verify=_context(access.ca_file),
            timeout=httpx.Timeout(10, read=_WATCH_SECONDS + 30),
            trust_env=False,
        )

    def images(self) -> set[str]:
        """Images of all pods on the node."""
        return set().union(*list(self._pods.values()))

    def start(self) -> None:
        """Begin to follow; a server that cannot be reached is tried again for ever."""
        threading.Thread(target=self._follow, name="kubernetes", daemon=True).start()

    def _follow(self) -> None:
        wait = 1.0
        while not self._stopped.is_set():
            try:
                version = self.read_all()
                wait = 1.0
                self._watch(version)
            except (httpx.HTTPError, ValueError, KeyError, Unavailable, ResponseInvalid) as error:
                _log.warning("kubernetes-unavailable", error=str(error), retry_in=wait)
                self._stopped.wait(wait)
                wait = min(wait * 2, 60)
        self._client.close()

    def read_all(self) -> str:
        """Read all pods; returns the resource version to watch from."""
        response = self._client.get(self._path, params=self._query, headers=self._headers)
        _check(response)
        document = response.json()
        self._pods = {_uid(pod): images_of(pod) for pod in document["items"]}
        self._changed()
        version: str = document["metadata"]["resourceVersion"]
        return version

    def _watch(self, version: str) -> None:
        query = {
            **self._query, "watch": "1", "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS), "allowWatchBookmarks": "true",
        }  # fmt: skip
        with self._client.stream(
            "GET", self._path, params=query, headers=self._headers
        ) as response:
            if response.status_code != 200:
                response.read()
            _check(response)
            for event in _events(response.iter_bytes()):
                if self._stopped.is_set():
                    return
                if event["type"] == "ERROR":  # such as 410: the version is too old; list again
                    return
                self._apply(event["type"], event["object"])

    def _apply(self, kind: str, pod: Mapping[str, Any]) -> None:
        if kind == "BOOKMARK":
            return
        pods = dict(self._pods)
        if kind == "DELETED":
            pods.pop(_uid(pod), None)
        else:
            pods[_uid(pod)] = images_of(pod)
        self._pods = pods
        self._changed()

    @property
    def _path(self) -> str:
        return "/api/v1/pods"

    @property
    def _query(self) -> dict[str, str]:
        return {"fieldSelector": f"spec.nodeName={self._access.node}"}

    @property
    def _headers(self) -> dict[str, str]:
        if self._access.token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._access.token_file.read_text().strip()}"}


def _uid(pod: Mapping[str, Any]) -> str:
    uid: str = pod["metadata"]["uid"]
    return uid


def _events(parts: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise ResponseInvalid(f"the API server sent an event of more than {_MAX_LINE} bytes")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _check(response: httpx.Response) -> None:
    if response.status_code == 200:
        return
    raise Unavailable(
        f"the API server answered {response.status_code}: {response.text[:200]}",
        advice="the service account needs list and watch on pods",
    )


def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
