from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from app.jobs import queue
from tests.support.manifests import (
    CHART,
    GET_TOOLS,
    KUSTOMIZE,
    Document,
    by_name,
    helm,
    kustomize,
    pods,
)
from tests.support.tools import ROOT, require

OVERLAYS = ("dev", "production")
EVERYTHING = ("keda.enabled", "monitoring.enabled", "redis.enabled", "ingress.enabled")
VERSIONS = ("1.29", "1.33", "1.37")

_SELECTOR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {"type": "array"},
    },
}


def _monitor(endpoints: str) -> dict[str, Any]:
    endpoint = {
        "type": "object",
        "additionalProperties": False,
        "required": ["port"],
        "properties": {name: {"type": "string"} for name in ("port", "path", "interval")},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["selector", endpoints],
        "properties": {"selector": _SELECTOR, endpoints: {"type": "array", "items": endpoint}},
    }


#: The parts we use of custom resources, whose schemas the Kubernetes API does not carry:
#: KEDA 2 (keda.sh/v1alpha1) and the Prometheus operator (monitoring.coreos.com/v1).
CUSTOM: dict[str, dict[str, Any]] = {
    "ServiceMonitor": _monitor("endpoints"),
    "PodMonitor": _monitor("podMetricsEndpoints"),
    "PrometheusRule": {
        "type": "object",
        "additionalProperties": False,
        "required": ["groups"],
        "properties": {"groups": {"type": "array", "minItems": 1}},
    },
    "ScaledObject": {
        "type": "object",
        "additionalProperties": False,
        "required": ["scaleTargetRef", "triggers"],
        "properties": {
            "scaleTargetRef": {"type": "object", "required": ["name"]},
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "cooldownPeriod": {"type": "integer"},
            "triggers": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["type", "metadata"],
                    "properties": {
                        "type": {"const": "prometheus"},
                        "metadata": {
                            "type": "object",
                            "required": ["serverAddress", "query", "threshold"],
                            "additionalProperties": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}


def everything() -> list[Document]:
    return helm(*(f"--set={name}=true" for name in EVERYTHING))


def production() -> list[Document]:
    return helm("-f", str(CHART / "values-production.yaml"))


def test_the_committed_rendering_is_fresh(tmp_path: Path) -> None:
    require("helm", GET_TOOLS)
    subprocess.run([ROOT / ".ci" / "render-manifests", tmp_path], check=True)
    fresh, committed = (
        {str(path.relative_to(root)): path.read_text() for path in root.rglob("resources.yaml")}
        for root in (tmp_path, KUSTOMIZE)
    )
    assert fresh == committed, "run make manifests"
    assert len(fresh) > len(OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_and_chart_render_the_same(overlay: str) -> None:
    chart = by_name(helm("-f", str(CHART / f"values-{overlay}.yaml")))
    overlays = by_name(kustomize(overlay))
    assert sorted(chart) == sorted(overlays)
    for name, document in chart.items():
        assert overlays[name] == document, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", [*OVERLAYS, "everything"])
def test_documents_fit_the_kubernetes_api(source: str, version: str) -> None:
    for document in everything() if source == "everything" else kustomize(source):
        schema = CUSTOM.get(document["kind"])
        if schema is None:
            kubernetes_validate.validate(document, version, strict=True)
        else:
            jsonschema.validate(document["spec"], schema)


def test_the_chart_lints() -> None:
    command = [
        require("helm", GET_TOOLS),
        "lint",
        "--strict",
        "--kube-version",
        "1.33.0",
        str(CHART),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "wrong",
    ["api.replica=3", "worker.concurrency=0", "terminationGracePeriodSeconds=5", "logLevel=loud"],
)
def test_the_values_schema_refuses_mistakes(wrong: str) -> None:
    command = [
        require("helm", GET_TOOLS),
        "template",
        str(CHART),
        "--kube-version",
        "1.33.0",
        "--set",
        wrong,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_pods_keep_the_restricted_standard() -> None:
    for name, pod in pods(everything()):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"] is True, name
        assert not any("hostPath" in volume for volume in pod["volumes"]), name
    for overlay in OVERLAYS:
        (namespace,) = (d for d in kustomize(overlay) if d["kind"] == "Namespace")
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_secrets_are_files_and_the_signing_key_is_in_workers_only() -> None:
    for name, pod in pods(everything()):
        for container in pod["containers"]:
            assert not any("valueFrom" in one for one in container.get("env", ())), name
            assert "envFrom" not in container, name
        mounted = {volume["name"] for volume in pod["volumes"]}
        assert ("signing" in mounted) == (name.endswith(("worker", "sweeper"))), name
        assert ("evidence" in mounted) == name.endswith("worker"), name


def queues(documents: list[Document]) -> dict[str, str]:
    """What each worker serves, by name, as its command line says."""
    return {
        name: arguments[arguments.index("-Q") + 1]
        for name, pod in pods(documents)
        if "-Q" in (arguments := pod["containers"][0].get("args", []))
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_queue_has_a_worker_and_every_worker_a_queue_that_exists(overlay: str) -> None:
    documents = kustomize(overlay)
    served = queues(documents)
    assert sorted(",".join(served.values()).split(",")) == sorted(queue.QUEUES)
    page = (ROOT / "docs" / "operations.md").read_text()
    for names in served.values():
        assert f"`{names}`" in page
    scalers = [d for d in documents if d["kind"] == "ScaledObject"]
    assert bool(scalers) == (overlay == "production")
    for scaler in scalers:
        (trigger,) = scaler["spec"]["triggers"]
        watched = set(re.findall(r'queue=~"([^"]+)"', trigger["metadata"]["query"]))
        assert watched == {served[scaler["metadata"]["name"]].replace(",", "|")}


def test_the_spool_fits_its_volume_and_the_volume_its_limit() -> None:
    spooling = 0
    for name, pod in pods(production()):
        container = pod["containers"][0]
        environment = {one["name"]: one["value"] for one in container["env"]}
        if "VERILAYER_SPOOL_MAX_BYTES" not in environment:
            continue
        spooling += 1
        (state,) = (v for v in pod["volumes"] if v["name"] == "state")
        volume = int(state["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30
        limit = int(container["resources"]["limits"]["ephemeral-storage"].removesuffix("Gi")) << 30
        assert int(environment["VERILAYER_SPOOL_MAX_BYTES"]) < volume < limit, name
    assert spooling > 1


def test_everything_is_denied_by_default_and_the_metadata_service_always() -> None:
    policies = {
        d["metadata"]["name"]: d["spec"] for d in production() if d["kind"] == "NetworkPolicy"
    }
    deny = policies["verilayer-default-deny"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    blocks = [
        peer["ipBlock"]
        for rule in policies["verilayer-egress"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    assert all("169.254.0.0/16" in block["except"] for block in blocks)


def test_the_ingress_never_redirects_webhooks_and_hides_metrics() -> None:
    (ingress,) = (d for d in production() if d["kind"] == "Ingress")
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/ssl-redirect"] == "false"
    paths = [p["path"] for rule in ingress["spec"]["rules"] for p in rule["http"]["paths"]]
    assert "/webhooks/" in paths
    assert not any(path in ("/", "/metrics") for path in paths)
