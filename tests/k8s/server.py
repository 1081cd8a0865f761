"""The Kubernetes server of KUBECONFIG, and our overlays as its age needs them."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from msgspec import Struct
from tests.deploy.rendered import BIN, K8S, run

COMMAND_S = 360
KUBECTL = str(BIN / "kubectl")
OWN_KUBECTL = os.environ.get("KUBECTL") or KUBECTL
"""What applies: before 1.24 that should be the server's own (docs/deployment.md)."""
PATCHES = {23: "before-1.23", 21: "before-1.21"}
"""The documented components for servers older than a minor version."""


class Said(Struct, frozen=True):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def ask(*command: str, input_text: str | None = None) -> Said:
    """Run a command to its end, however that is."""
    done = subprocess.run(
        command, input=input_text, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def kubectl(*arguments: str, input_text: str | None = None, program: str = KUBECTL) -> str:
    """What kubectl printed, or a failure that shows it."""
    said = ask(program, *arguments, input_text=input_text)
    assert said.status == 0, f"kubectl {' '.join(arguments)}: {said.out}{said.err}"
    return said.out


def minor_version() -> int:
    """Of the server: 20 for 1.20."""
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("NOT RUN: set KUBECONFIG to the file of a cluster for tests")
    minor = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["minor"]
    return int(re.sub(r"\D", "", minor))


def overlay(
    tree: Path, of: str, namespace: str, components: Sequence[str], images: Mapping[str, str]
) -> str:
    """The manifests of an overlay in a namespace of ours, with components and images (NAME:TAG)."""
    folder = tree / K8S / f"overlays/in-{namespace}"
    folder.mkdir()
    given = {name: image.rpartition(":") for name, image in images.items()}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [f"../{of}"],
        "components": [f"../../components/{name}" for name in components],
        "images": [{"name": n, "newName": i[0], "newTag": i[2]} for n, i in given.items()],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return run([KUBECTL, "kustomize", str(folder)], tree)


def patches_for(minor: int) -> Sequence[str]:
    """The documented components that a server of this age needs, and no other."""
    return [name for limit, name in PATCHES.items() if minor < limit]
