"""Mistakes that are planted in a copy, at least one in each kind of file, must be reported.

mistakes.json lists them: in `file`, `old` becomes `new` where it stands first, and `check` must say
`says`.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from tests.deploy import linters, rules_config, rules_links, rules_network, rules_pods
from tests.deploy.rendered import Broken, render

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(120)]

LINTERS = {
    "dockerfile": linters.dockerfile,
    "compose": linters.compose,
    "style": linters.style,
    "gateway": linters.gateway,
}


class Mistake(Struct, frozen=True):
    """A row of the list; `check` is a linter, `rules OVERLAY` or `server VERSION OVERLAY`."""

    file: str
    old: str
    new: str
    check: str
    says: str

    @property
    def name(self) -> str:
        first = self.new.strip().partition("\n")[0]
        return f"{Path(self.file).parent.name}/{Path(self.file).name}: {first}"


MISTAKES = msgspec.json.decode(
    (Path(__file__).parent / "mistakes.json").read_bytes(), type=list[Mistake]
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_reported(tree: Path, tmp_path: Path, mistake: Mistake) -> None:
    planted = _planted(tree, tmp_path, mistake)
    assert any(mistake.says in text for text in _said(mistake.check, planted, tmp_path))


def test_a_mistake_in_any_compose_file_is_reported(tree: Path, tmp_path: Path) -> None:
    files = [file.name for file in linters.compose_files(tree)]
    assert "docker-compose.yml" in files
    for name in files:
        planted = tmp_path / name
        shutil.copytree(tree, planted)
        with (planted / name).open("a") as compose:
            compose.write("\nservice: {}\n")
        assert any("service" in text for text in _said("compose", planted, tmp_path))


@pytest.mark.skipif(linters.haproxy() is None, reason="HAProxy is not installed on this machine")
def test_haproxy_reports_a_mistake_in_the_gateway(tree: Path, tmp_path: Path) -> None:
    mistake = Mistake("deploy/compose/gateway.cfg", "leastconn", "leastcon", "gateway", "leastcon")
    planted = _planted(tree, tmp_path, mistake)
    assert any(mistake.says in text for text in _said(mistake.check, planted, tmp_path))


def _planted(tree: Path, folder: Path, mistake: Mistake) -> Path:
    planted = folder / "tree"
    shutil.copytree(tree, planted)
    file = planted / mistake.file
    text = file.read_text()
    assert mistake.old in text, f"{mistake.file} has no {mistake.old!r} any more"
    file.write_text(text.replace(mistake.old, mistake.new, 1))
    return planted


def _said(check: str, tree: Path, folder: Path) -> Sequence[str]:
    try:
        return list(_checked(check, tree, folder))
    except Broken as error:
        return [str(error)]


def _checked(check: str, tree: Path, folder: Path) -> Iterator[str]:
    kind, *words = check.split()
    if kind in LINTERS:
        yield from LINTERS[kind](tree)
    elif kind == "server":
        version, overlay = words
        yield from linters.schemas(render(tree, overlay), version, folder)
    else:
        rendered = render(tree, words[0])
        for rules in (rules_pods, rules_links, rules_network):
            yield from rules.problems(rendered)
        yield from rules_config.problems(rendered, folder)
