"""deploy/ as a cluster would get it: a copy with drawn secrets, and what kustomize makes of it."""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RUN_S = 60
K8S = Path("deploy/k8s")
WORKLOADS = ("Deployment", "StatefulSet", "Job")

OF_PLATFORMS = {
    "wechat": {
        "app-id": "of-the-platform-app-id",
        "app-secret": "of-the-platform-app-secret",
        "token": "of-the-platform-token",
        "encoding-aes-key": "a" * 43,
    },
    "telegram": {"token": f"123456:{'A' * 35}", "webhook-secret": "of-the-platform-secret"},
    "onebot11": {"access-token": "of-the-platform-access-token"},
}
"""What a user writes into files of `secrets`."""

Manifest = dict[str, Any]


class Broken(Exception):
    """A file is so wrong that nothing can be rendered from it; the text is the tool's own."""


class Workload(Struct, frozen=True):
    """What runs pods: a Deployment, a StatefulSet or a Job. `pod` is the spec of its pods."""

    kind: str
    name: str
    spec: Manifest
    labels: Mapping[str, str]

    @property
    def pod(self) -> Manifest:
        pod: Manifest = self.spec["template"]["spec"]
        return pod

    @property
    def containers(self) -> Sequence[Manifest]:
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    @property
    def command(self) -> Sequence[str]:
        """Arguments of the first container: which role it plays."""
        return list(self.pod["containers"][0].get("args", ()))

    def ports(self) -> Mapping[str, int]:
        return {p["name"]: p["containerPort"] for c in self.containers for p in c.get("ports", ())}

    def fits(self, selector: Mapping[str, Any] | None) -> bool:
        """Whether a label selector means its pods; one that is absent means none."""
        if selector is None:
            return False
        wanted = selector.get("matchLabels", {})
        return all(self.labels.get(key) == value for key, value in wanted.items())


class Rendered(Struct, frozen=True):
    """All manifests of one overlay."""

    name: str
    manifests: Sequence[Manifest]

    def of(self, kind: str) -> Sequence[Manifest]:
        return [m for m in self.manifests if m["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest | None:
        return next((m for m in self.of(kind) if m["metadata"]["name"] == name), None)

    def workloads(self, *kinds: str) -> Iterator[Workload]:
        for manifest in self.manifests:
            if manifest["kind"] in (kinds or WORKLOADS):
                labels = manifest["spec"]["template"]["metadata"].get("labels", {})
                name = manifest["metadata"]["name"]
                yield Workload(manifest["kind"], name, manifest["spec"], labels)

    def workload(self, name: str) -> Workload:
        return next(w for w in self.workloads() if w.name == name)

    def files_of(self, volume: Manifest) -> Mapping[str, str]:
        """What a volume of ConfigMaps and Secrets holds: paths and texts."""
        files: dict[str, str] = {}
        for source in volume.get("projected", {}).get("sources", [volume]):
            for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
                if (there := source.get(key)) is not None:
                    found = self.named(kind, there.get("name") or there.get("secretName"))
                    files |= _chosen(content(found) if found else {}, there.get("items"))
        return files


def content(manifest: Manifest) -> Mapping[str, str]:
    """The data of a ConfigMap or a Secret, as text."""
    data: Mapping[str, str] = manifest.get("data") or {}
    if manifest["kind"] != "Secret":
        return data
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _chosen(data: Mapping[str, str], items: Sequence[Manifest] | None) -> Mapping[str, str]:
    if items is None:
        return data
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def copy_tree(to: Path) -> Path:
    """What `make deploy-check` looks at, with the secrets that a user would draw."""
    shutil.copytree(ROOT / "deploy", to / "deploy", ignore=_drawn)
    for pattern in ("docker-compose*.yml", ".env.example", ".yamllint"):
        for file in ROOT.glob(pattern):
            shutil.copy(file, to)
    secrets = to / K8S / "secrets"
    run([str(secrets / "draw")], to, ONEBUS=str(BIN / "onebus"))
    for platform, keys in OF_PLATFORMS.items():
        for key, value in keys.items():
            (secrets / f"connector-{platform}" / key).write_text(value)
    return to


def _drawn(folder: str, names: list[str]) -> Sequence[str]:
    """A developer's own secrets are no part of what is checked."""
    if "secrets" not in Path(folder).parts:
        return []
    kept = ("draw", "kustomization.yaml")
    return [n for n in names if n not in kept and (Path(folder) / n).is_file()]


def render(tree: Path, name: str) -> Rendered:
    """What kustomize makes of an overlay. Raises Broken."""
    text = run([str(BIN / "kubectl"), "kustomize", str(K8S / "overlays" / name)], tree)
    return Rendered(name, [m for m in yaml.safe_load_all(text) if m])


def run(command: Sequence[str], tree: Path, **environment: str) -> str:
    """What a tool printed. Raises Broken when it fails."""
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    if done.returncode:
        raise Broken(f"{Path(command[0]).name}: {done.stdout}{done.stderr}")
    return done.stdout
