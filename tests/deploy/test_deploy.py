"""deploy/ and the compose files are right, as far as that can be known without running them.

`make deploy-check` runs it. test_planted.py proves that it would notice.
"""

from pathlib import Path

import pytest
from tests.deploy import linters, rules_config, rules_links, rules_network, rules_pods
from tests.deploy.rendered import BIN, K8S, render, run
from tests.deploy.variants import VARIANTS, Variant

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(300)]

overlays = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)


def test_the_dockerfile(tree: Path) -> None:
    assert list(linters.dockerfile(tree)) == []


def test_the_compose_files(tree: Path) -> None:
    assert list(linters.compose(tree)) == []


def test_the_style_of_yaml(tree: Path) -> None:
    assert list(linters.style(tree)) == []


def test_the_gateway(tree: Path) -> None:
    assert list(linters.gateway(tree)) == []


@overlays
def test_servers_take_an_overlay(tree: Path, tmp_path: Path, variant: Variant) -> None:
    rendered = render(tree, variant.name)
    found = [list(linters.schemas(rendered, server, tmp_path)) for server in variant.servers]
    assert found == [[] for _ in variant.servers]


@overlays
def test_an_overlay_follows_our_rules(tree: Path, tmp_path: Path, variant: Variant) -> None:
    rendered = render(tree, variant.name)
    assert len(rendered.manifests) > 25
    rules = (rules_pods.problems, rules_links.problems, rules_network.problems)
    assert [text for rule in rules for text in rule(rendered)] == []
    assert list(rules_config.problems(rendered, tmp_path)) == []


def test_what_is_drawn_is_kept(tree: Path) -> None:
    secrets = tree / K8S / "secrets"
    files = [secrets / "server/routes.conf", secrets / "onebot/access-token"]
    files += [secrets / "server/auth.conf", secrets / "setup/password"]
    before = [file.read_text() for file in files]
    run([str(secrets / "draw")], tree, ONEBUS=str(BIN / "onebus"))
    assert [file.read_text() for file in files] == before
    assert len(set(before)) == len(before)
