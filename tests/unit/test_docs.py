"""The pages: up to date, and what they say of commands, files and messages is there."""

import re
from pathlib import Path
from typing import get_args

import pytest

from connectors.sandbox.posted import Posted
from frontends.onebot_v11.action import ACTIONS
from onebus import action as act
from onebus import config, docs, docs_support
from onebus.action import action_name
from onebus.docs import DocsError
from onebus.docs_parts import PARTS

ROOT = Path(__file__).parents[2]
PAGES = [*docs.pages(ROOT), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
STALE = "# Page\n\n<!-- generated: retcodes -->\nold\n<!-- /generated -->\n\nBy hand.\n"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return _FENCE.sub("", text_of(page))


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one page that is out of date."""
    for page, text in (("README.md", "# x\n"), ("shared/README.md", ""), ("docs/page.md", STALE)):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_generated_parts_are_up_to_date() -> None:
    assert [name(page) for page in docs.out_of_date(ROOT)] == []


def test_every_part_has_a_page() -> None:
    marked = re.findall(r"<!-- generated: (.+?) -->", "".join(map(text_of, docs.pages(ROOT))))
    assert sorted(marked) == sorted(PARTS)


def test_check_names_the_page_and_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert docs.main(["--check"]) == 1
    assert "docs/page.md is out of date" in capsys.readouterr().err
    assert (project / "docs/page.md").read_text(encoding="utf-8") == STALE


def test_writing_renews_the_part_alone(project: Path) -> None:
    assert docs.main([]) == 0
    written = (project / "docs/page.md").read_text(encoding="utf-8")
    assert written.startswith("# Page\n\n<!-- generated: retcodes -->\n\n| retcode |")
    assert written.endswith("|\n\n<!-- /generated -->\n\nBy hand.\n")
    assert "old" not in written
    assert docs.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<!-- generated: nothing -->\n<!-- /generated -->", "nobody generates 'nothing'"),
        ("<!-- generated: retcodes -->\n", "without <!-- /generated -->"),
        (f"<!-- generated: retcodes -->\n{STALE}<!-- /generated -->", "'retcodes' is not closed"),
    ],
)
def test_wrong_marks_are_refused(page: str, said: str) -> None:
    with pytest.raises(DocsError, match=re.escape(said)) as refused:
        docs.renewed(page, "docs/page.md")
    assert str(refused.value).startswith("docs/page.md: ")


def test_elsewhere_it_says_where_it_must_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert docs.main([]) == 1
    assert "run it where README.md and docs/ are" in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        where, _, anchor = link.partition("#")
        target = (page.parent / where).resolve() if where else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_every_decision_is_listed() -> None:
    listed = set(_LINK.findall(text_of(ROOT / "docs/adr/README.md")))
    assert {page.name for page in (ROOT / "docs/adr").glob("0*.md")} == listed


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("0*.md")), ids=name)
def test_a_decision_is_a_page_with_four_parts(page: Path) -> None:
    text = text_of(page)
    assert len(text.splitlines()) <= 50
    parts = re.findall(r"^\*\*(Context|Choice|Rejected|Consequence)\b", text, re.MULTILINE)
    assert parts == ["Context", "Choice", "Rejected", "Consequence"]


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150


def test_the_actions_listed_are_those_that_are_there() -> None:
    page = text_of(ROOT / "docs/onebot_v11.md")
    section = page.partition("## Actions\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([.\w]+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted(ACTIONS)


def test_what_can_happen_in_the_sandbox_is_listed() -> None:
    section = text_of(ROOT / "docs/connectors.md").partition("by `POST api/events`:")[2]
    rows = re.findall(r"^\| (`[^|]+) \|", section.partition("## wechat")[0], re.MULTILINE)
    listed = [kind for row in rows for kind in re.findall(r"`(\w+)`", row) if kind != "type"]
    assert sorted(listed) == sorted(kind.__struct_config__.tag for kind in get_args(Posted))


def test_what_actions_need_is_what_platforms_have() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\w+) \|", docs_support.actions(), re.MULTILINE)
    needed = {action: (needs, here) for action, needs, here in rows}
    assert needed["send_msg"] == ("send_message", "yes")
    assert needed["set_group_kick"] == ("kick_member", "yes")
    assert {needs for needs, _ in needed.values()} <= {*map(action_name, act.ACTIONS)}
    assert "| `get_msg` | nothing | yes |" in docs_support.actions()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_configurations_shown_are_right(page: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef")
    for kind, shown in _FENCE.findall(text_of(page)):
        if kind == "yaml":
            file = tmp_path / "config.yaml"
            file.write_text(re.sub(r"\$\{file:[^}]+\}", "${file:secret}", shown))
            variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", shown), "A" * 43)
            assert config.check(file, variables) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_programs_shown_are_python(page: Path) -> None:
    for kind, shown in _FENCE.findall(text_of(page)):
        if kind == "python":
            compile(shown, name(page), "exec")


def test_the_bot_in_the_readme_is_ten_lines() -> None:
    programs = [code for kind, code in _FENCE.findall(text_of(ROOT / "README.md")) if kind]
    bot = next(code for code in programs if code.startswith("import nonebot"))
    assert sum(bool(line.strip()) for line in bot.splitlines()) <= 10


def test_troubles_are_named_by_texts_that_exist() -> None:
    """A literal may go on in the next line of the source, and hold values where ours has `…`."""
    page = text_of(ROOT / "docs/operations.md").partition("## When something is wrong")[2]
    quoted = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    assert len(quoted) > 20
    files = [*ROOT.glob("shared/onebus/*.py"), *ROOT.glob("services/**/*.py")]
    source = "".join(re.sub(r'"\s*\n\s*f?"', "", text_of(file)) for file in files)
    for text in quoted:
        for part in text.split("…"):
            assert part.strip() in source, text
