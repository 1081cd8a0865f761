"""Other people's tools over the files of deploy/; each returns what it found, a line each."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from tests.deploy.rendered import BIN, Broken, Rendered, run

MAIN = "docker-compose.yml"
OLD_SCHEMAS = BIN.parent / "kubernetes-1.24"
"""Where `make deploy-check` puts the kubernetes-validate that knows servers up to 1.24."""


def dockerfile(tree: Path) -> Iterator[str]:
    """hadolint."""
    yield from _found([str(BIN / "hadolint"), "deploy/docker/Dockerfile"], tree)


def style(tree: Path) -> Iterator[str]:
    """yamllint, of all that is YAML."""
    files = [str(file.relative_to(tree)) for file in compose_files(tree)]
    yield from _found([str(BIN / "yamllint"), "--strict", *files, "deploy"], tree)


def compose(tree: Path) -> Iterator[str]:
    """The schema of compose files, and compose itself where it is installed."""
    schema = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    for file in compose_files(tree):
        yield from _found([*schema, file.name], tree)
        if has_compose():
            yield from _found(["docker", "compose", *_read_as(file), "config", "--quiet"], tree)


def _read_as(file: Path) -> Iterable[str]:
    """All but the main file are read on top of it."""
    files = dict.fromkeys([MAIN, file.name])
    return [word for name in files for word in ("--file", name)] + ["--profile", "*"]


def compose_files(tree: Path) -> Iterable[Path]:
    return sorted(tree.glob("docker-compose*.yml"))


def has_compose() -> bool:
    """Whether compose v2 is here; the schema is checked in any case."""
    command = ["docker", "compose", "version"]
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def gateway(tree: Path) -> Iterator[str]:
    """HAProxy's own check, where it is installed."""
    if program := haproxy():
        yield from _found([program, "-c", "-f", "deploy/compose/gateway.cfg"], tree)


def haproxy() -> str | None:
    """The program, where it is installed; Debian's is in a place that only root's PATH has."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


def schemas(rendered: Rendered, version: str, folder: Path) -> Iterator[str]:
    """What a server of a version would refuse; kinds that it does not have are such."""
    file = folder / f"{rendered.name}.yaml"
    file.write_text(yaml.safe_dump_all(rendered.manifests))
    command = [str(BIN / "python"), "-W", "ignore", "-m", "kubernetes_validate"]
    command += ["-k", version, "--strict", "--quiet", str(file)]
    old = int(version.partition(".")[2]) < 25
    try:
        said = run(command, folder, PYTHONPATH=str(OLD_SCHEMAS) if old else "")
    except Broken as error:
        said = str(error)
    yield from (f"{rendered.name} on {version}: {line}" for line in said.splitlines())


def _found(command: list[str], tree: Path) -> Iterator[str]:
    try:
        run(command, tree)
    except Broken as error:
        yield str(error)
