"""What every pod must have: as few rights as can be, probes, limits, and time to end."""

import re
from collections.abc import Iterator

from tests.deploy.rendered import Manifest, Rendered, Workload

from onebus.settings import Settings

ONEBUS = "onebus"
CLOSING_S = 10
"""What onebus needs beyond drain_timeout: for sockets, and for NATS (docs/operations.md)."""


def problems(rendered: Rendered) -> Iterator[str]:
    """What is wrong with the pods, a line each."""
    for workload in rendered.workloads():
        found = [*_rights_of_pod(workload), *_endings(rendered, workload)]
        for container in workload.containers:
            found += [*_rights(container), *_resources(container), *_image(container)]
            if workload.kind != "Job":
                found += _probes(container)
        yield from (f"{rendered.name}: {workload.kind} {workload.name}: {text}" for text in found)


def _rights_of_pod(workload: Workload) -> Iterator[str]:
    pod = workload.pod
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root: runAsNonRoot and runAsUser"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccompProfile is not RuntimeDefault"
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token of the cluster: automountServiceAccountToken"
    if pod.get("enableServiceLinks") is not False:
        yield "gets the environment of other services: enableServiceLinks"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"shares the node: {key}"
    for volume in pod.get("volumes", ()):
        if "hostPath" in volume:
            yield f"reaches the node's files: volume {volume['name']}"


def _rights(container: Manifest) -> Iterator[str]:
    context = container.get("securityContext", {})
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for key, value in wanted.items():
        if context.get(key) != value:
            yield f"{key} is not {value}"
    if context.keys() - wanted:
        yield f"more rights: {', '.join(context.keys() - wanted)}"


def _resources(container: Manifest) -> Iterator[str]:
    resources = container.get("resources", {})
    for key in ("cpu", "memory"):
        if key not in resources.get("requests", {}):
            yield f"requests no {key}"
    if "memory" not in resources.get("limits", {}):
        yield "memory has no limit"


def _image(container: Manifest) -> Iterator[str]:
    tag = container["image"].rpartition("/")[2].partition(":")[2]
    if tag in ("", "latest"):
        yield f"image {container['image']} has no version"


def _probes(container: Manifest) -> Iterator[str]:
    for key in ("startupProbe", "livenessProbe", "readinessProbe"):
        if key not in container:
            yield f"has no {key}"
    if container["name"] == ONEBUS:
        for key, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            found = container.get(key, {}).get("httpGet", {}).get("path")
            if found != path:
                yield f"{key} asks {found}, not {path}"


def _endings(rendered: Rendered, workload: Workload) -> Iterator[str]:
    if workload.kind == "Job":
        return
    grace_s = workload.pod.get("terminationGracePeriodSeconds", 30)
    needed_s = sum(_pause_s(c) for c in workload.containers) + _end_s(rendered, workload)
    if grace_s < needed_s:
        yield f"terminationGracePeriodSeconds {grace_s} is less than the {needed_s:g} it may need"
    for container in workload.containers:
        if "preStop" not in container.get("lifecycle", {}):
            yield "has no preStop"


def _pause_s(container: Manifest) -> float:
    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    return float(command[1]) if command[:1] == ["sleep"] else 0


def _end_s(rendered: Rendered, workload: Workload) -> float:
    """How long its process may take from the signal to its end."""
    texts = "\n".join(
        text for volume in workload.pod["volumes"] for text in rendered.files_of(volume).values()
    )
    if workload.containers[0]["name"] == ONEBUS:
        found = re.search(r"^drain_timeout: *([0-9.]+)", texts, re.MULTILINE)
        return (float(found[1]) if found else Settings().drain_timeout) + CLOSING_S
    pattern = r"^ *(?:hard-stop-after|lame_duck_\w+:) *\"?([0-9]+)s"
    return sum(float(seconds) for seconds in re.findall(pattern, texts, re.MULTILINE))
