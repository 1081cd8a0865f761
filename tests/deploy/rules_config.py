"""What each pod sees: its configuration as its role reads it, with the files that it has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.deploy.rendered import BIN, ROOT, Broken, Rendered, Workload, content, run

from onebus import config, installed
from onebus.config import Source
from onebus.errors import Misconfigured
from onebus.ids import Platform

CONFIG, NATS_CONFIG = "/etc/onebus", "/etc/nats"
FILE = re.compile(r"\$\{file:([^}]+)\}")
SLOTS = re.compile(r'server-template \S+ 1-(\d+) "([\w-]+)\$')
ALIKE = re.compile(r"^(?:ping_interval|ping_max|write_deadline|max_payload):.*$", re.MULTILINE)
SYNC = re.compile(r"^jetstream \{.*sync_interval: always", re.MULTILINE)


def problems(rendered: Rendered, folder: Path) -> Iterator[str]:
    """What is wrong in the configurations, a line each; `folder` is a place to lay them out."""
    found: list[str] = []
    for workload in rendered.workloads():
        places = lay_out(rendered, workload, folder / workload.name)
        if CONFIG in places:
            found += _as_its_role_reads_it(workload, places)
        elif NATS_CONFIG in places:
            found += _nats(places[NATS_CONFIG])
    found += [*_accounts(rendered), *_secrets(rendered), *_gateway(rendered)]
    yield from (f"{rendered.name}: {text}" for text in found)


def lay_out(rendered: Rendered, workload: Workload, folder: Path) -> Mapping[str, Path]:
    """The volumes of a pod as directories here, by where they are mounted."""
    places: dict[str, Path] = {}
    volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", ())}
    for mount in workload.containers[0].get("volumeMounts", ()):
        place = places[mount["mountPath"]] = folder / mount["name"]
        for path, text in rendered.files_of(volumes.get(mount["name"], {})).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)
    return places


def _as_its_role_reads_it(workload: Workload, places: Mapping[str, Path]) -> Iterator[str]:
    try:
        source = config.load(config_here(places), {})
        user = source.settings().bus.user
        if user != workload.name:
            yield f"{workload.name} is {user or 'nobody'} to NATS"
        for warning in source.warnings():
            yield f"{workload.name}: {warning}"
        _read(source, workload)
    except Misconfigured as error:
        yield f"{workload.name}: {error}"


def config_here(places: Mapping[str, Path]) -> Path:
    """The configuration of a pod that was laid out, with its references leading there."""
    file = places[CONFIG] / "config.yaml"
    file.write_text(FILE.sub(lambda found: _here(Path(found[1]), places), file.read_text()))
    return file


def _here(path: Path, places: Mapping[str, Path]) -> str:
    """A reference to a file of the pod, as one to the file that was laid out for it."""
    place = places.get(str(path.parent), Path("/not-mounted"))
    return f"${{file:{place / path.name}}}"


def _read(source: Source, workload: Workload) -> None:
    """Read what the role reads. Raises Misconfigured."""
    role, name, *_ = workload.command
    if role == "connector":
        accounts = source.accounts([Platform(name)])
        if not accounts:
            raise Misconfigured(f"no account of {name}")
        for account in accounts:
            source.connector_config(account, installed.connector_class(name).Config)
    elif role == "frontend":
        for protocol in installed.protocols():
            for account in source.accounts():
                source.protocol_config(account, protocol, installed.protocol_config(protocol))


def _accounts(rendered: Rendered) -> Iterator[str]:
    for text in _texts(rendered, "config.yaml"):
        for platform in sorted(set(re.findall(r"^(\w+)\.[\w-]+:", text, re.MULTILINE))):
            if not any(w.name == f"connector-{platform}" for w in rendered.workloads()):
                yield f"nothing runs for the accounts of {platform}"
        copies = int((re.findall(r"^ +replicas: (\d)", text, re.MULTILINE) or ["1"])[0])
        nodes = rendered.workload("nats").spec["replicas"]
        if copies != nodes:
            yield f"bus.replicas is {copies}, and NATS has {nodes} nodes"


def _secrets(rendered: Rendered) -> Iterator[str]:
    """No value of a Secret stands in anything else, and no password of NATS has two readers."""
    secrets = [content(secret) for secret in rendered.of("Secret")]
    values = {v for secret in secrets for key, v in secret.items() if key != "user"}
    for manifest in rendered.manifests:
        if manifest["kind"] != "Secret" and any(value in str(manifest) for value in values):
            yield f"{manifest['kind']} {manifest['metadata']['name']} holds a secret"
    for secret in rendered.of("Secret"):
        name = secret["metadata"]["name"]
        readers = [w.name for w in rendered.workloads() if name in str(w.pod.get("volumes"))]
        if not readers or (name.startswith("nats-") and len(readers) > 1):
            yield f"Secret {name} is read by {readers or 'nobody'}"


def _nats(place: Path) -> Iterator[str]:
    text = (place / "nats.conf").read_text()
    compose = (ROOT / "deploy/compose/nats.conf").read_text()
    if set(ALIKE.findall(text)) != set(ALIKE.findall(compose)):
        yield "nats: limits are not those of deploy/compose/nats.conf"
    if not SYNC.search(text):
        yield "nats: an acknowledged event would not survive the loss of power"
    # The paths are those of the container; what may be written is looked at by no check.
    (place / "nats.conf").write_text(text.replace("/data", str(place / "data")))
    try:
        run(
            [str(BIN / "nats-server"), "-t", "-c", str(place / "nats.conf")],
            place,
            POD_NAME="nats-0",
        )
    except Broken as error:
        yield f"nats: {error}"


def _gateway(rendered: Rendered) -> Iterator[str]:
    slots = {
        name: int(n) for text in _texts(rendered, "gateway.cfg") for n, name in SLOTS.findall(text)
    }
    for scaler in rendered.of("HorizontalPodAutoscaler"):
        name, most = scaler["spec"]["scaleTargetRef"]["name"], scaler["spec"]["maxReplicas"]
        if most > slots.get(name, most):
            yield f"the gateway uses {slots[name]} replicas of {name}, and there may be {most}"


def _texts(rendered: Rendered, name: str) -> list[str]:
    maps = rendered.of("ConfigMap")
    return [text for m in maps for key, text in content(m).items() if key == name]
