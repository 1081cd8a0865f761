"""The command line: `onebus up` and its roles, and what looks at an installation."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from onebus import __version__, config, credentials, installed, logging, permissions, process
from onebus.config import Source
from onebus.credentials import Owner
from onebus.errors import OnebusError
from onebus.service import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except OnebusError as error:
        print(f"onebus: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onebus",
        description="Chat platforms on one side, OneBot V11 bots on the other, NATS in the middle.",
    )
    parser.add_argument("--version", action="version", version=f"onebus {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands)
    _add_roles(commands)
    _add_bus(commands)
    dead = commands.add_parser("dead-letters", help="list events that bots could not be given")
    _with_config(dead)
    dead.add_argument("--json", action="store_true", help="one JSON object a line, with the event")
    dead.add_argument("--data-dir", type=Path, metavar="DIR", help="of `up`; default: ./data")
    dead.set_defaults(command=_dead_letters)
    check = commands.add_parser("check", help="say what is wrong with a configuration")
    check.add_argument("file", nargs="?", type=Path, help="default: ./config.yaml")
    check.set_defaults(command=_check)
    schema = commands.add_parser("schema", help="print the JSON Schema of the configuration")
    schema.set_defaults(command=_schema)
    return parser


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser("up", help="run everything on this machine, with its own NATS")
    _with_config(up)
    up.add_argument("--data-dir", type=Path, metavar="DIR", help="default: ./data")
    up.set_defaults(command=_up)


def _add_roles(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    platforms = ", ".join(installed.platforms())
    connector = commands.add_parser("connector", help=f"run connectors: {platforms}")
    connector.add_argument("names", nargs="+", metavar="PLATFORM")
    _with_config(connector)
    connector.set_defaults(command=_connector)
    frontend = commands.add_parser(
        "frontend", help="run frontends: http, ws, ws-reverse, http-post"
    )
    frontend.add_argument("names", nargs="+", metavar="TRANSPORT")
    _with_config(frontend)
    frontend.set_defaults(command=_frontend)


def _add_bus(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bus = commands.add_parser("bus", help="look after NATS")
    things = bus.add_subparsers(required=True, metavar="COMMAND")
    setup = things.add_parser(
        "setup", help="make streams and buckets, or migrate those of an older version"
    )
    _with_config(setup)
    setup.add_argument(
        "--auth",
        nargs="*",
        metavar="SERVICE",
        help="only print the server's accounts block, for these services or all",
    )
    setup.set_defaults(command=_bus_setup)
    drawn = things.add_parser("credentials", help="draw passwords for the services, where missing")
    drawn.add_argument("directory", type=Path, metavar="DIR", help="one directory each below it")
    drawn.add_argument("services", nargs="*", metavar="SERVICE", help="default: all")
    drawn.add_argument("--owner", type=_owner, metavar="UID:GID", help="who may read the files")
    _with_config(drawn)
    drawn.set_defaults(command=_bus_credentials)


def _owner(text: str) -> Owner:
    uid, _, gid = text.partition(":")
    if not (uid.isdecimal() and gid.isdecimal()):
        raise argparse.ArgumentTypeError("expected UID:GID, both as numbers")
    return Owner(int(uid), int(gid))


def _with_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="default: ./config.yaml, or the example"
    )


def _read(options: argparse.Namespace) -> Source:
    return config.load(options.config) if options.config else config.load_default()


def _source(options: argparse.Namespace) -> Source:
    source = _read(options)
    settings = source.settings()
    logging.configure(settings.log_level)
    logging.keep_secrets_of(settings)
    for warning in source.warnings():
        print(warning, file=sys.stderr)
    return source


def _say(text: str) -> None:
    print(text, flush=True)


def _up(options: argparse.Namespace) -> int:
    source = _source(options)
    problems = [p for p in source.problems() if p.severity == "error"]
    if problems:
        raise config.ConfigError(problems)
    data_dir = options.data_dir or Path(source.settings().data_dir)
    return run(process.up(source, data_dir, _say))


def _connector(options: argparse.Namespace) -> int:
    return run(process.connectors(_source(options), options.names))


def _frontend(options: argparse.Namespace) -> int:
    return run(process.frontends(_source(options), options.names))


def _bus_setup(options: argparse.Namespace) -> int:
    if options.auth is not None:
        prefix = _read(options).bus_prefix()
        print(permissions.accounts(options.auth or _all_services(), prefix), end="")
        return 0
    return run(process.bus_setup(_source(options), _say))


def _bus_credentials(options: argparse.Namespace) -> int:
    prefix = _read(options).bus_prefix()
    services = options.services or _all_services()
    credentials.draw(options.directory, services, prefix, _say, options.owner)
    return 0


def _all_services() -> tuple[str, ...]:
    return permissions.services(installed.platforms())


def _dead_letters(options: argparse.Namespace) -> int:
    source = _source(options)
    data_dir = options.data_dir or Path(source.settings().data_dir)
    return run(process.dead_letters(source, data_dir, _say, as_json=options.json))


def _check(options: argparse.Namespace) -> int:
    file = options.file or config.DEFAULT_PATH
    problems = config.check(file)
    for problem in problems:
        print(problem, file=sys.stderr)
    errors = sum(problem.severity == "error" for problem in problems)
    print(f"{file}: {errors} to mend" if errors else f"{file} is fine")
    return 1 if errors else 0


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(config.schema(), indent=2, ensure_ascii=False))
    return 0
