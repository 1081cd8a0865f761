"""The configuration: every message of the golden file, and who reads which part of it."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

import connectors
from frontends.onebot_v11.config import Config as OneBotConfig
from onebus import installed
from onebus.config import BusSettings, ConfigError, Source, bus_urls, check, load, load_default
from onebus.config_schema import schema
from onebus.errors import Misconfigured
from onebus.expansion import BadReference, expand, has_reference
from onebus.ids import Account, parse_account
from onebus.problem import is_secret
from onebus.settings import Settings

TESTS = Path(__file__).parents[1]
GOLDEN = json.loads((TESTS / "golden/config/problems.json").read_text())
SHIPPED = list(connectors.__path__)
ONE = parse_account("chatter.one")
MINE = {"T": "s3cret-token"}


@pytest.fixture(autouse=True)
def made_up_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two platforms of the tests' own, whatever onebus ships; and an empty directory to work in."""
    monkeypatch.setattr(connectors, "__path__", [str(TESTS / "fakes/connectors")])
    for name in ("chatter", "lacking"):
        monkeypatch.delitem(sys.modules, f"connectors.{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def written(text: str, *, mode: int = 0o600) -> Path:
    path = Path("config.yaml")
    path.write_text(text)
    path.chmod(mode)
    return path


def loaded(text: str, environ: Mapping[str, str] = MINE) -> Source:
    return load(written(text), environ)


def chatter() -> Any:
    return installed.connector_class("chatter").Config


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["source"])
def test_what_check_says(case: dict[str, Any]) -> None:
    path = written("\n".join(case["given"]["yaml"]))
    assert [str(p) for p in check(path, case["given"].get("env", {}))] == case["expect"]


def test_no_message_of_the_golden_file_holds_a_secret() -> None:
    said = json.dumps([case["expect"] for case in GOLDEN])
    assert "hunter" not in said
    assert MINE["T"] not in said


def test_defaults_apply_without_general() -> None:
    source = loaded("chatter.one: {api_token: x}")
    assert source.settings() == Settings()
    assert source.protocol_config(ONE, "onebot.v11", OneBotConfig) == OneBotConfig()
    config = OneBotConfig()
    assert (config.use_http, config.use_ws, config.use_ws_reverse) == (True, False, False)
    assert (config.heartbeat_interval, config.ws_reverse_reconnect_interval) == (15000, 3000)


def test_an_account_goes_over_general_key_by_key() -> None:
    source = loaded(
        "general: {onebot.v11: {use_ws: true, secret: a, access_token: b}}\n"
        "chatter.one: {onebot.v11: {secret: c, access_token: }}"
    )
    config = source.protocol_config(ONE, "onebot.v11", OneBotConfig)
    assert (config.use_ws, config.secret, config.access_token) == (True, "c", "b")


def test_a_frontend_never_reads_what_belongs_to_the_platform() -> None:
    source = loaded("chatter.one: {api_token: '${file:/nowhere}', what: 1}", {})
    assert source.accounts() == [ONE]
    assert source.protocol_config(ONE, "onebot.v11", OneBotConfig) == OneBotConfig()


def test_a_connector_never_reads_what_belongs_to_frontends() -> None:
    source = loaded(
        "general: {onebot.v11: {access_token: '${NOT_SET}'}}\n"
        "chatter.one: {api_token: x, onebot.v11: {use_htp: '${NOT_SET}'}}\n"
        "chatter.two: {api_token: '${NOT_SET}'}"
    )
    assert source.connector_config(ONE, chatter()).api_token == "x"


def test_accounts_keep_their_order_and_their_dots() -> None:
    source = loaded("chatter.b: {}\nlacking.x: {}\nchatter.a.b:")
    assert list(map(str, source.accounts())) == ["chatter.b", "lacking.x", "chatter.a.b"]
    assert source.accounts(["chatter"])[1] == Account(
        ONE.platform, parse_account("x.a.b").account_id
    )


VALUES = [
    ("retries: ${N}", {"N": "7"}, {"retries": 7}),
    ("retries: ${N:-4}", {}, {"retries": 4}),
    ("retries: ${N:-4}", {"N": ""}, {"retries": 4}),
    ("secure: no", {}, {"secure": False}),
    ("secure: ${S}", {"S": "off"}, {"secure": False}),
    ("nickname: 0123", {}, {"nickname": "0123"}),
    ("nickname: no", {}, {"nickname": "no"}),
    ("nickname: ${N}", {"N": "12"}, {"nickname": "12"}),
    ("nickname: ${N}", {"N": ""}, {"nickname": ""}),
    ("nickname: a$${N}$b", {"N": "x"}, {"nickname": "a${N}$b"}),
    ("nickname: ${N:-a: b, c}", {}, {"nickname": "a: b, c"}),
    ("nickname: ${N}", {"N": "${T}"}, {"nickname": "${T}"}),
    ("nickname:", {}, {"nickname": "Chatter"}),
    ("nickname: |\n    two\n    lines", {}, {"nickname": "two\nlines"}),
    ("limits: {burst: ~, per_second: 2}", {}, {"limits.burst": None, "limits.per_second": 2.0}),
    ("limits: {burst: ${N}}", {"N": "5"}, {"limits.burst": 5}),
    ("targets: [a, {n: 1, s: '1'}]", {}, {"targets": ("a", {"n": 1, "s": "1"})}),
    (
        "targets: [{on: true, x: ${N}, y: ~}]",
        {"N": "1"},
        {"targets": ({"on": True, "x": 1, "y": None},)},
    ),
    ("proxies: ['${N}', 2]", {"N": "p"}, {"proxies": ("p", "2")}),
]


@pytest.mark.parametrize(("line", "environ", "expect"), VALUES, ids=[case[0] for case in VALUES])
def test_the_setting_says_how_its_text_is_read(
    line: str, environ: dict[str, str], expect: dict[str, Any]
) -> None:
    source = loaded(f"chatter.one:\n  api_token: x\n  {line}", environ)
    config = source.connector_config(ONE, chatter())
    for name, value in expect.items():
        found: Any = config
        for part in name.split("."):
            found = getattr(found, part)
        assert (found, type(found)) == (value, type(value))


def test_a_number_too_long_for_a_number_is_text() -> None:
    source = loaded(f"chatter.one: {{api_token: {'9' * 5000}, retries: {'9' * 5000}}}")
    with pytest.raises(ConfigError, match=r"retries: expected a whole number, got text$"):
        source.connector_config(ONE, chatter())


def test_files_are_read_below_the_configuration_without_their_last_line_break() -> None:
    Path("secret").write_text("from a file\r\n")
    assert expand("<${file:secret}>", {}, Path()) == "<from a file>"
    Path("secret").write_bytes(b"\xff")
    with pytest.raises(BadReference, match="not UTF-8"):
        expand("${file:secret}", {}, Path())
    Path("secret").write_bytes(b"x" * (64 * 1024 + 1))
    with pytest.raises(BadReference, match="larger than"):
        expand("${file:secret}", {}, Path())


def test_a_default_stands_in_for_a_file_that_is_not_there_or_empty() -> None:
    assert expand("<${file:secret:-none}>", {}, Path()) == "<none>"
    assert expand("<${file:secret:-}>", {}, Path()) == "<>"
    Path("secret").write_text("\n")
    assert expand("<${file:secret:-none}>", {}, Path()) == "<none>"
    Path("secret").write_text("from a file\n")
    assert expand("<${file:secret:-none}>", {}, Path()) == "<from a file>"
    with pytest.raises(BadReference, match="cannot read"):
        expand("${file:/:-a directory is no secret}", {}, Path())


def test_an_open_reference_is_an_error_and_an_escaped_one_is_none() -> None:
    with pytest.raises(BadReference, match="without }"):
        expand("pass${word", {}, Path())
    assert expand("pass$${word", {}, Path()) == "pass${word"
    assert not has_reference("pass$${word $x")
    assert has_reference("$${a} ${b}")


def test_a_role_is_told_everything_about_its_part_at_once() -> None:
    source = loaded("chatter.one:\n  api_tokn: x\n  retries: 12")
    with pytest.raises(Misconfigured) as caught:
        source.connector_config(ONE, chatter())
    assert isinstance(caught.value, ConfigError)
    first, second = caught.value.problems
    assert (first.file, first.line, first.key) == ("config.yaml", 2, "chatter.one.api_tokn")
    assert (first.text, first.hint) == ("unknown key", "did you mean api_token?")
    assert str(caught.value) == f"{first}\n{second}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"port: 1\nhost: \xff", "config.yaml:2: this is not UTF-8; save the file as UTF-8 text"),
        (b"port: 1\nhost: \x01", "config.yaml:2: a control character"),
        (b"#" * (1 << 20) + b"#", "config.yaml: larger than 1048576 bytes"),
    ],
    ids=["encoding", "control character", "size"],
)
def test_bytes_that_are_no_configuration(data: bytes, said: str) -> None:
    Path("config.yaml").write_bytes(data)
    assert [str(problem) for problem in check("config.yaml", {})] == [said]


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    Path("config.yaml").write_bytes(b"\xef\xbb\xbfport: 1\n")
    assert load("config.yaml", {}).settings().port == 1


@pytest.mark.parametrize("path", ["gone.yaml", "."])
def test_a_file_that_cannot_be_read(path: str) -> None:
    (problem,) = check(path, {})
    assert str(problem).startswith(f"{path}: cannot be read: ")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path, {})


@pytest.mark.parametrize(
    ("host", "exposed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("[::1]", False),
        ("LocalHost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.0.2", True),
        ("::ffff:192.168.0.2", True),
        ("127.0.0.1.example.com", True),
        ("example.com", True),
    ],
)
def test_what_other_machines_reach(host: str, exposed: bool) -> None:
    assert Settings(host=host).exposed is exposed
    assert Settings(host=host, loopback_only=True).exposed is False


def test_an_open_address_stops_the_role_that_would_serve_it() -> None:
    source = loaded("host: 0.0.0.0\nchatter.one: {api_token: x}")
    with pytest.raises(ConfigError, match="access_token: no token"):
        source.protocol_config(ONE, "onebot.v11", OneBotConfig)


def test_the_environment_names_the_bus() -> None:
    text = "bus: {url: 'nats://file:1', user: me}\n"
    assert loaded(text, {}).settings().bus == BusSettings(url="nats://file:1", user="me")
    given = {"NATS_URL": "nats://u:p$${x}@env:2"}
    assert loaded(text, given).settings().bus == BusSettings(url=given["NATS_URL"], user="me")
    assert loaded("", given).settings().bus.url == given["NATS_URL"]


def test_the_real_environment_is_read_when_no_other_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://env:2")
    assert load(written("")).settings().bus.url == "nats://env:2"


def test_several_servers_or_the_usual_one() -> None:
    assert bus_urls(BusSettings(url="nats://a:1, nats://b:2")) == ["nats://a:1", "nats://b:2"]
    assert bus_urls(BusSettings()) == ["nats://127.0.0.1:4222"]


LITERAL = [
    ("chatter.one: {api_token: x}", "chatter.one.api_token"),
    ("bus: {url: 'nats://u:p@h'}\nchatter.one: {api_token: '${T}'}", "bus.url"),
]


@pytest.mark.parametrize(("text", "key"), LITERAL)
def test_a_secret_that_others_can_read_is_a_warning(text: str, key: str) -> None:
    (problem,) = check(written(text, mode=0o644), MINE)
    assert (problem.severity, problem.key) == ("warning", key)
    assert "chmod 600 config.yaml" in str(problem)
    assert load("config.yaml", MINE).warnings() == [problem]
    assert check(written(text, mode=0o600), MINE) == []


@pytest.mark.parametrize("value", ["${T}", "${T:-x}", "'${file:/run/secret}'", "", "''"])
def test_a_secret_that_is_elsewhere_is_none_in_the_file(value: str) -> None:
    path = written(f"chatter.one: {{api_token: {value}}}", mode=0o644)
    assert load(path, MINE).warnings() == []


def test_which_keys_are_secret() -> None:
    secret = ("access_token", "a.secret_key", "password", "encoding_aes_key", "API-Key", "secret")
    assert all(map(is_secret, secret))
    assert not any(map(is_secret, ("nickname", "secrets.count", "public_url")))


def test_without_a_file_there_is_one_sandbox_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectors, "__path__", SHIPPED)
    example = load_default({})
    assert list(map(str, example.accounts())) == ["sandbox.demo"]
    assert example.problems() == []
    onebot = example.protocol_config(example.accounts()[0], "onebot.v11", OneBotConfig)
    assert (onebot.use_http, onebot.use_ws) == (True, True)


def test_the_file_in_the_working_directory_is_the_default() -> None:
    written("port: 1")
    assert load_default({}).settings().port == 1


def test_the_schema_knows_every_key() -> None:
    made = schema()
    assert set(made["properties"]) == {*Settings.__struct_fields__, "general"}
    assert made["additionalProperties"] is False
    definitions = made["$defs"]
    assert set(definitions["onebot.v11"]["properties"]) == set(OneBotConfig.__struct_fields__)
    account = definitions["chatter"]
    assert set(account["properties"]) == {*chatter().__struct_fields__, "onebot.v11"}
    assert account["required"] == ["api_token"]
    assert next(
        value for name, value in made["patternProperties"].items() if re.search(name, "chatter.x.y")
    ) == {"anyOf": [{"$ref": "#/$defs/chatter"}, {"type": "null"}]}


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    made = schema()
    references = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(made)))
    assert references == set(made["$defs"])


def test_the_schema_lets_a_number_come_from_the_environment() -> None:
    port = schema()["properties"]["port"]
    assert port["default"] == 6727
    assert port["anyOf"] == [
        {"type": "integer", "minimum": 0, "maximum": 65535},
        {"type": "string", "pattern": r"\$\{.+\}"},
    ]


def test_a_platform_that_is_not_there() -> None:
    with pytest.raises(Misconfigured, match="did you mean chatter"):
        installed.connector_class("chattr")
    with pytest.raises(Misconfigured, match=re.escape("pip install 'onebus[lacking]'")):
        installed.connector_class("lacking")


def test_a_connector_that_is_broken_itself_is_not_called_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("from onebus.nowhere import nothing\n")
    monkeypatch.setattr(connectors, "__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match=r"onebus\.nowhere"):
        installed.connector_class("broken")


def test_configs_are_frozen_and_refuse_unknown_keys() -> None:
    kinds: list[type[Struct]] = [Settings, BusSettings, OneBotConfig]
    for kind in kinds:
        assert kind.__struct_config__.frozen
        assert kind.__struct_config__.forbid_unknown_fields
