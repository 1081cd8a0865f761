"""A real API server takes every overlay, with the documented patches for its age and no others.

`make k8s-apply` runs it against the server of KUBECONFIG. It needs kube-apiserver, etcd and
kube-controller-manager and no node: pods are made and admitted, and none of them runs. Every
overlay gets a namespace of its own, onebus-test-NAME, which is made and deleted. Before 1.24,
KUBECTL must name a kubectl of the server's age.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct
from tests.deploy.rendered import Manifest, Rendered, copy_tree
from tests.deploy.variants import write_copies
from tests.k8s.server import KUBECTL, OWN_KUBECTL, Said, ask, kubectl, overlay, patches_for

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(400)]

OVERLAYS = ("dev", "plain", "prod", "with-platforms")
POD_SECURITY = 23
"""From this minor version on, servers hold pods to the standard that our namespace names."""


class Applied(Struct, frozen=True):
    """An overlay that was applied once, and what kubectl said."""

    namespace: str
    text: str
    first: Said
    rendered: Rendered

    def again(self, *options: str, program: str = OWN_KUBECTL) -> Said:
        """Apply once more."""
        return ask(program, "apply", *options, "-f", "-", input_text=self.text)

    def kept(self) -> Sequence[Manifest]:
        """What the server has of each manifest, in their order."""
        found = json.loads(kubectl("get", "-f", "-", "-o", "json", input_text=self.text))["items"]
        assert len(found) == len(self.rendered.manifests)
        return list(found)

    def generations(self) -> Sequence[object]:
        """A number for each object that grows when its spec is changed."""
        return [there["metadata"].get("generation") for there in self.kept()]

    def wait(self, what: str, path: str, value: object) -> None:
        """Return when a field of an object has a value."""
        condition = f"--for=jsonpath={{{path}}}={value}"
        kubectl("wait", "-n", self.namespace, what, condition, "--timeout=120s")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = copy_tree(tmp_path_factory.mktemp("tree"))
    write_copies(tree)
    return tree


@pytest.fixture(scope="module", params=OVERLAYS)
def applied(minor: int, tree: Path, request: pytest.FixtureRequest) -> Iterator[Applied]:
    namespace = f"onebus-test-{request.param}"
    text = overlay(tree, request.param, namespace, patches_for(minor), {})
    assert ask(KUBECTL, "get", "namespace", namespace).status, f"{namespace} is there already"
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    try:
        first = ask(OWN_KUBECTL, "apply", "-f", "-", input_text=text)
        yield Applied(namespace, text, first, Rendered(request.param, manifests))
    finally:
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=240s")


def test_everything_is_made_without_a_warning(applied: Applied) -> None:
    assert (applied.first.status, applied.first.err) == (0, "")
    assert len(applied.first.out.splitlines()) == len(applied.rendered.manifests) > 25


def test_a_second_apply_changes_nothing(applied: Applied) -> None:
    """kubectl says "configured" of some all the same: it sends what the server has already."""
    before = applied.generations()
    second = applied.again()
    assert (second.status, second.err) == (0, "")
    assert not [line for line in second.out.splitlines() if line.endswith(" created")]
    assert applied.generations() == before
    differs = ask(OWN_KUBECTL, "diff", "-f", "-", input_text=applied.text)
    assert (differs.status, differs.out, differs.err) == (0, "", "")


def test_server_side_apply_takes_it_too(applied: Applied) -> None:
    """It refuses what is said twice and fields that the server does not have."""
    manager = ("--field-manager=onebus-test", "--force-conflicts")
    said = applied.again("--server-side", "--dry-run=server", *manager)
    assert (said.status, said.err) == (0, "")


def test_the_server_keeps_all_that_is_said(applied: Applied) -> None:
    """A field that a server of this age does not have would be dropped without a word."""
    pairs = zip(applied.rendered.manifests, applied.kept(), strict=True)
    assert [line for said, there in pairs for line in lost(plain(said), there, path_of(said))] == []


def test_its_pods_are_admitted(applied: Applied) -> None:
    """Controllers make all of them, so that none was refused; budgets count them as theirs."""
    for workload in applied.rendered.workloads():
        if workload.kind == "Job":
            applied.wait(f"job/{workload.name}", ".status.active", 1)
        else:
            name = f"{workload.kind.lower()}/{workload.name}"
            applied.wait(name, ".status.replicas", replicas(applied.rendered, workload.name))
    for budget in applied.rendered.of("PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        wanted = replicas(applied.rendered, name)
        applied.wait(f"poddisruptionbudget/{name}", ".status.expectedPods", wanted)


def test_other_pods_are_refused(applied: Applied, minor: int) -> None:
    """The namespace allows no pod that asks for more than ours do."""
    kubectl("wait", "-n", applied.namespace, "serviceaccount/default", "--for=create")
    run = ("run", "-n", applied.namespace, "root", "--image=root", "--dry-run=server")
    refused = 'violates PodSecurity "restricted' in ask(KUBECTL, *run).err
    assert refused == (minor >= POD_SECURITY)


def replicas(rendered: Rendered, name: str) -> int:
    """How many pods there will be: what an autoscaler begins with, or what is said."""
    if scaler := rendered.named("HorizontalPodAutoscaler", name):
        return int(scaler["spec"]["minReplicas"])
    return int(rendered.workload(name).spec.get("replicas", 1))


def plain(manifest: Manifest) -> Manifest:
    """It, with base64 in one line, where kustomize breaks it."""
    if manifest["kind"] != "Secret":
        return manifest
    return manifest | {"data": {k: v.replace("\n", "") for k, v in manifest["data"].items()}}


def path_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def lost(said: Any, kept: Any, path: str) -> Iterator[str]:
    """Where something is said that the server does not have."""
    if isinstance(said, Mapping) and isinstance(kept, Mapping):
        for key, value in said.items():
            yield from lost(value, kept.get(key), f"{path}.{key}")
    elif isinstance(said, Sequence) and not isinstance(said, str) and isinstance(kept, Sequence):
        if len(said) != len(kept):
            yield f"{path}: {len(said)} said, {len(kept)} kept"
        for index, (value, there) in enumerate(zip(said, kept, strict=False)):
            yield from lost(value, there, f"{path}[{index}]")
    elif said != kept and (kept is not None or said not in ({}, [])):
        yield f"{path}: {said!r} became {kept!r}"
