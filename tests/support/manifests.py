"""Kubernetes documents as the chart and kustomize render them."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import yaml

from tests.support.tools import ROOT, require

CHART = ROOT / "deploy" / "helm" / "verilayer"
KUSTOMIZE = ROOT / "deploy" / "kustomize"
GET_TOOLS = ".ci/get-kubernetes-tools"

Document = dict[str, Any]


def helm(*arguments: str) -> list[Document]:
    """Render the chart."""
    return documents(
        [
            *(require("helm", GET_TOOLS), "template", "verilayer", str(CHART)),
            *("--kube-version", "1.33.0", *arguments),
        ]
    )


def kustomize(overlay: str) -> list[Document]:
    """Build an overlay."""
    return documents(
        [require("kustomize", GET_TOOLS), "build", str(KUSTOMIZE / "overlays" / overlay)]
    )


def documents(command: list[str]) -> list[Document]:
    """Run a command and parse its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert found, f"{command} rendered nothing"
    return found


def by_name(rendered: list[Document]) -> dict[tuple[str, str], Document]:
    """Key documents by kind and name, without what differs by design between the two renderers.

    These are the namespace, the suffix that makes a changed ConfigMap roll pods out in kustomize,
    the annotation that does it in helm, and the order of lists whose items have names.
    """
    return {
        (document["kind"], _plain(document["metadata"]["name"])): _neutral(document)
        for document in rendered
        if document["kind"] != "Namespace"
    }


def pods(rendered: list[Document]) -> list[tuple[str, Document]]:
    """Pod specs by the name of what makes them."""
    found = [
        (document["metadata"]["name"], document["spec"]["template"]["spec"])
        for document in rendered
        if document["kind"] in ("Deployment", "StatefulSet")
    ]
    assert found, "no pods are rendered"
    return found


def _plain(name: str) -> str:
    return re.sub(r"^verilayer-[a-z0-9]{10}$", "verilayer", name)


def _neutral(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _neutral(item) for key, item in value.items() if key != "checksum/config"}
        found.pop("namespace", None)
        if found.get("annotations") == {}:
            del found["annotations"]
        if "verilayer.yaml" in found:
            found["verilayer.yaml"] = yaml.safe_load(str(found["verilayer.yaml"]))
        return found
    if isinstance(value, list):
        items = [_neutral(item) for item in value]
        named = all(isinstance(item, dict) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if named else items
    return _plain(value) if isinstance(value, str) else value
