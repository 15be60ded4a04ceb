"""What no validator sees: whether the manifests of a namespace fit each other. A check returns the faults it found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import yaml

from tests.configs.deploy.kubernetes.manifests import (
    KUBERNETES,
    Manifest,
    container,
    labels,
    names,
    of,
    pod,
    ports,
    selected,
    workloads,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def identities(found: list[Manifest]) -> Iterator[str]:
    """Everything is there once, and in the namespace that is made for it."""
    (namespace,) = names(of(found, "Namespace"))
    for each in found:
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") != namespace:
            yield f"{each['kind']} {each['metadata']['name']} is not in {namespace}"
    counts = Counter((each["kind"], each["metadata"]["name"]) for each in found)
    yield from (f"{kind} {name} is there {n} times" for (kind, name), n in counts.items() if n > 1)


def ownership(found: list[Manifest]) -> Iterator[str]:
    """A workload selects its own pods and no other's."""
    for each in workloads(found):
        taken = selected(found, each["spec"]["selector"]["matchLabels"])
        if names(taken) != {each["metadata"]["name"]}:
            yield f"{each['metadata']['name']} selects {sorted(names(taken))}"
        for constraint in pod(each).get("topologySpreadConstraints", []):
            if names(selected(found, constraint["labelSelector"]["matchLabels"])) != {each["metadata"]["name"]}:
                yield f"{each['metadata']['name']} is spread among others"


def services(found: list[Manifest]) -> Iterator[str]:
    """A service reaches the pods it is for, at ports that they have."""
    for each in of(found, "Service"):
        name, of_redis = each["metadata"]["name"], each["metadata"]["name"] == "redis"
        wanted = {x for x in names(workloads(found)) if (x == "redis") == of_redis}
        behind = selected(found, each["spec"]["selector"])
        if names(behind) != wanted:
            yield f"service {name} selects {sorted(names(behind))}"
        for port in each["spec"]["ports"]:
            for workload in behind:
                if port["targetPort"] not in ports(workload):
                    yield f"service {name} sends to {port['targetPort']}, which {workload['metadata']['name']} lacks"
    for each in of(found, "StatefulSet"):
        if each["spec"]["serviceName"] not in names(of(found, "Service")):
            yield f"{each['metadata']['name']} has no service"


def edge(found: list[Manifest]) -> Iterator[str]:
    """Ingress and routes send to services and ports that there are, an Ingress for hosts that have a certificate."""
    for ingress in of(found, "Ingress"):
        certified = {host for each in ingress["spec"]["tls"] for host in each["hosts"]}
        for rule in ingress["spec"]["rules"]:
            if rule["host"] not in certified:
                yield f"no certificate for {rule['host']}"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if backend["port"]["name"] not in _offered(found, backend["name"], "name"):
                    yield f"{path['path']} goes to {backend}"
    yield from _routes(found)


def _routes(found: list[Manifest]) -> Iterator[str]:
    for route in of(found, "HTTPRoute", "GRPCRoute"):
        for parent in route["spec"]["parentRefs"]:
            if parent["name"] not in names(of(found, "Gateway")):
                yield f"no gateway {parent['name']}"
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                if backend["port"] not in _offered(found, backend["name"], "port"):
                    yield f"a {route['kind']} goes to {backend}"


def _offered(found: list[Manifest], service: str, key: str) -> set[str | int]:
    """Return the names or numbers of a service's ports."""
    return {port[key] for each in of(found, "Service", name=service) for port in each["spec"]["ports"]}


def scaling(found: list[Manifest]) -> Iterator[str]:
    """The autoscaler has a target and metrics, and alone sets the number of pods."""
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text("utf-8"))
    for each in of(found, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        scaled = of(found, target["kind"], name=target["name"])
        if not scaled or scaled[0]["apiVersion"] != target["apiVersion"]:
            yield f"nothing is called {target}"
        for workload in scaled:
            if "replicas" in workload["spec"]:
                yield f"{target['name']} says itself how many there are"
            if "cpu" not in container(workload)["resources"]["requests"]:
                yield "the share of the cpu is of nothing"
        for metric in each["spec"]["metrics"]:
            if metric["type"] == "Pods":
                name = metric["pods"]["metric"]["name"]
                if name not in {rule["name"]["as"] for rule in adapter["rules"]}:
                    yield f"the adapter knows no {name}"


def disruption(found: list[Manifest]) -> Iterator[str]:
    """What empties nodes waits for those whose number the autoscaler keeps."""
    for each in of(found, "PodDisruptionBudget"):
        protected = names(selected(found, each["spec"]["selector"]["matchLabels"]))
        if protected != {"drugpred"}:
            yield f"the budget is for {sorted(protected)}"


def network(found: list[Manifest]) -> Iterator[str]:
    """Only allowed traffic passes, to ports that exist, and both ends allow it."""
    policies = of(found, "NetworkPolicy")
    denying = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if denying not in [each["spec"] for each in policies]:
        yield "not everything is denied at first"
    for policy in policies:
        name, spec = policy["metadata"]["name"], policy["spec"]
        if not spec["podSelector"]:
            continue
        concerned = selected(found, spec["podSelector"]["matchLabels"])
        if not concerned:
            yield f"policy {name} is for no pod"
        for rule in spec.get("ingress", []):
            if not rule.get("from") or not rule.get("ports"):
                yield f"policy {name} lets anybody in"
            for workload in concerned:
                offered = {*ports(workload), *ports(workload).values()}
                yield from (f"policy {name}: no port {p['port']}" for p in rule["ports"] if p["port"] not in offered)
        for rule in spec.get("egress", []):
            if not rule.get("to") or not rule.get("ports"):
                yield f"policy {name} lets out to anybody"
            yield from _both_ends(found, policy, rule)


def _both_ends(found: list[Manifest], policy: Manifest, rule: Manifest) -> Iterator[str]:
    for peer in rule["to"]:
        if "namespaceSelector" in peer:
            continue  # another namespace's
        receivers = selected(found, peer["podSelector"]["matchLabels"])
        if not receivers:
            yield f"policy {policy['metadata']['name']} lets out to no pod"
        for receiver in receivers:
            admitted = {
                port["port"]
                for other in of(found, "NetworkPolicy")
                if receiver in selected(found, other["spec"]["podSelector"].get("matchLabels", {}))
                for way_in in other["spec"].get("ingress", [])
                if {"podSelector": policy["spec"]["podSelector"]} in way_in["from"]
                for port in way_in["ports"]
            }
            for port in rule["ports"]:
                if port["port"] not in admitted or port["port"] not in ports(receiver).values():
                    yield f"{receiver['metadata']['name']} lets nobody in at {port['port']}"


def monitoring(found: list[Manifest]) -> Iterator[str]:
    """Each server is scraped once, under the name that the rules select, by an allowed client."""
    for each in of(found, "ServiceMonitor"):
        yield from _monitor(found, each["spec"])


def _monitor(found: list[Manifest], monitor: Manifest) -> Iterator[str]:
    wanted = monitor["selector"]["matchLabels"].items()
    watched = [each for each in of(found, "Service") if wanted <= each["metadata"]["labels"].items()]
    if names(watched) != {"drugpred"}:
        yield f"the monitor selects {sorted(names(watched))}"
    for service in watched:
        if service["metadata"]["labels"].get(monitor["jobLabel"]) != "drugpred":
            yield "the rules select another job"
        offered = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
        for endpoint in monitor["endpoints"]:
            if endpoint["port"] not in offered:
                yield f"the service has no port {endpoint['port']}"
        for workload in selected(found, service["spec"]["selector"]):
            missing = set(monitor["podTargetLabels"]) - labels(workload).keys()
            if missing:
                yield f"{workload['metadata']['name']} has no {sorted(missing)}"


def containers(found: list[Manifest]) -> Iterator[str]:
    """Probes use ports that exist, mounted volumes exist, and images are of one release."""
    for workload in workloads(found):
        name, spec, only = workload["metadata"]["name"], pod(workload), container(workload)
        mounted = {each["name"]: each["mountPath"] for each in only["volumeMounts"]}
        volumes = {v["name"] for v in spec["volumes"]} | names(workload["spec"].get("volumeClaimTemplates", []))
        if mounted.keys() != volumes:
            yield f"{name} mounts {sorted(mounted)} of {sorted(volumes)}"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            for how in ("httpGet", "tcpSocket"):
                if how in only.get(probe, {}) and only[probe][how]["port"] not in ports(workload):
                    yield f"{name}: {probe} asks no port of it"
        _, _, tag = only["image"].rpartition("/")[2].partition("@" if "@" in only["image"] else ":")
        if "/" not in only["image"] or tag in ("", "latest"):
            yield f"{name} runs {only['image']}"
        if spec["serviceAccountName"] not in names(of(found, "ServiceAccount")):
            yield f"{name} is nobody"


CHECKS = [identities, ownership, services, edge, scaling, disruption, network, monitoring, containers]
