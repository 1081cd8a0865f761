"""What is rendered and checked: the overlays, and what the guide says one may make of them."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from msgspec import Struct
from tests.deploy.rendered import K8S


class Variant(Struct, frozen=True):
    """An overlay, or a copy of one with more components, and servers that must take it."""

    name: str
    servers: Sequence[str]
    of: str = ""
    components: Sequence[str] = ()


SHOWN = re.compile(r"# (\w+\.\w+:$|  \w+: )")
PLATFORMS = ("wechat", "telegram", "onebot11")
WITH_PLATFORMS = (
    *(f"components/{platform}" for platform in PLATFORMS),
    *(f"secrets/connector-{platform}" for platform in PLATFORMS),
    "components/metrics",
)
VARIANTS = (
    Variant("dev", ["1.37"]),
    Variant("plain", ["1.23", "1.25", "1.29", "1.33", "1.37"]),
    Variant("prod", ["1.29", "1.37"]),
    Variant("on-1.22", ["1.21", "1.22"], "plain", ["components/before-1.23"]),
    Variant("on-1.20", ["1.20"], "plain", ["components/before-1.23", "components/before-1.21"]),
    Variant("with-platforms", ["1.37"], "prod", WITH_PLATFORMS),
)


def write_copies(tree: Path) -> None:
    """The overlays that users make, beside those that are here."""
    for variant in VARIANTS:
        if variant.of:
            _copy(tree / K8S / "overlays", variant)


def _copy(overlays: Path, variant: Variant) -> None:
    folder = overlays / variant.name
    shutil.copytree(overlays / variant.of, folder)
    file = folder / "kustomization.yaml"
    lines = yaml.safe_load(file.read_text())
    lines["components"] += [f"../../{component}" for component in variant.components]
    file.write_text(yaml.safe_dump(lines))
    if variant.components == WITH_PLATFORMS:
        head, mark, documented = (
            (overlays.parent / "base/config.yaml").read_text().partition("\n# A WeChat")
        )
        assert mark, f"no platforms are shown at the end of {head[-50:]}"
        with (folder / "config.yaml").open("a") as config:
            config.write(_without_hash(documented))


def _without_hash(documented: str) -> str:
    """What is shown as a comment, in force: accounts and their keys, and no sentence."""
    shown = (line for line in documented.splitlines() if SHOWN.match(line))
    return "".join(f"\n{line.removeprefix('# ')}" for line in shown) + "\n"
