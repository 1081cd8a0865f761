"""Who may speak to whom: what the network policies let through must be exactly what is needed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from tests.deploy.rendered import Manifest, Rendered, Workload, content

NATS, PEERS, HTTP = 4222, 6222, 6727
BACKEND = re.compile(r"^backend (\S+)$", re.MULTILINE)
DOOR = "gateway"
"""Open to anybody."""
WAITS = ("calls-internet",)
"""Policies for connectors that not every overlay has."""
NODE_DNS = "169.254.20.10/32"
GOES_OUT = re.compile(r"frontend-(ws-reverse|http-post)|connector-(?!sandbox$).+")

Flow = tuple[str, str, int]


def problems(rendered: Rendered) -> Iterator[str]:
    """Ways that are open and should not be, and ways that are missing, a line each."""
    found = [*_default(rendered), *_inside(rendered), *_outside(rendered)]
    yield from (f"{rendered.name}: network: {text}" for text in found)


def _default(rendered: Rendered) -> Iterator[str]:
    wanted = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(policy["spec"] == wanted for policy in rendered.of("NetworkPolicy")):
        yield "no policy refuses everything else"
    for policy in rendered.of("NetworkPolicy"):
        name, selector = policy["metadata"]["name"], policy["spec"]["podSelector"]
        if name not in WAITS and not any(w.fits(selector) for w in rendered.workloads()):
            yield f"{name} is for no pod"


def _inside(rendered: Rendered) -> Iterator[str]:
    """Each pair of pods and each port of the second, against what is needed."""
    pods = list(rendered.workloads())
    needed, found = _needed(rendered), set[Flow]()
    for one, other in product(pods, (pod for pod in pods if pod.name != DOOR)):
        for port in other.ports().values():
            if _may(rendered, one, other, port):
                found.add((one.name, other.name, port))
    for one_name, other_name, port in sorted(found - needed):
        yield f"{one_name} may reach {other_name}:{port}, and need not"
    for one_name, other_name, port in sorted(needed - found):
        yield f"{one_name} cannot reach {other_name}:{port}"


def _needed(rendered: Rendered) -> set[Flow]:
    texts = "\n".join(t for m in rendered.of("ConfigMap") for t in content(m).values())
    behind = set(BACKEND.findall(texts))
    flows = {(DOOR, w.name, HTTP) for w in rendered.workloads() if w.name in behind}
    flows |= {(w.name, "nats", NATS) for w in rendered.workloads() if _has_password(w)}
    if PEERS in rendered.workload("nats").ports().values():
        flows.add(("nats", "nats", PEERS))
    return flows


def _has_password(workload: Workload) -> bool:
    mounts = [m["mountPath"] for c in workload.containers for m in c.get("volumeMounts", ())]
    return "/run/onebus" in mounts


def _may(rendered: Rendered, one: Workload, other: Workload, port: int) -> bool:
    out = _rules(rendered, one, "egress")
    into = _rules(rendered, other, "ingress")
    lets = [_lets(rule, "to", other, port) for rule in out]
    takes = [_lets(rule, "from", one, port) for rule in into]
    return any(lets) and any(takes)


def _rules(rendered: Rendered, workload: Workload, direction: str) -> Sequence[Manifest]:
    return [
        rule
        for policy in rendered.of("NetworkPolicy")
        if workload.fits(policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, ())
    ]


def _lets(rule: Manifest, side: str, peer: Workload, port: int) -> bool:
    ports = [p["port"] for p in rule.get("ports", ())]
    if ports and port not in ports:
        return False
    return side not in rule or any(_means(entry, peer) for entry in rule[side])


def _means(entry: Mapping[str, Manifest], peer: Workload) -> bool:
    """Whether an entry of a rule means a pod of ours; our namespace has no label to be found by."""
    if "ipBlock" in entry or entry.get("namespaceSelector"):
        return False
    return peer.fits(entry.get("podSelector", {}))


def _outside(rendered: Rendered) -> Iterator[str]:
    for workload in rendered.workloads():
        rules = _rules(rendered, workload, "egress")
        blocks = [e["ipBlock"] for r in rules for e in r.get("to", ()) if "ipBlock" in e]
        goes = any(b["cidr"] != NODE_DNS for b in blocks) or any("to" not in r for r in rules)
        if goes != bool(GOES_OUT.fullmatch(workload.name)):
            yield f"{workload.name} {'may' if goes else 'cannot'} reach what is outside"
        for block in blocks:
            if block["cidr"] == "0.0.0.0/0" and "169.254.0.0/16" not in block.get("except", ()):
                yield f"{workload.name} may reach the cloud's own addresses"
        entered = any("from" not in r for r in _rules(rendered, workload, "ingress"))
        if entered != (workload.name == DOOR):
            yield f"{workload.name} is {'' if entered else 'not '}open to anybody"
