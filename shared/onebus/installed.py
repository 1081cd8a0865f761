"""What is installed: platforms (modules of `connectors`) and bot standards (of `frontends`).

A directory listing is the registry: nothing is imported until a configuration asks for it, so
one platform's missing library never stops another.
"""

import importlib
import pkgutil
from typing import Any

from msgspec import Struct

from onebus.connector import Connector
from onebus.errors import Misconfigured
from onebus.ids import Platform
from onebus.problem import did_you_mean

_OURS = ("onebus", "connectors", "frontends")


def platforms() -> tuple[Platform, ...]:
    """The platforms that have a connector here, whether or not its library is installed."""
    return tuple(Platform(name) for name in _modules("connectors"))


def protocols() -> tuple[str, ...]:
    """The bot standards as they are written in a configuration: `onebot.v11`."""
    return tuple(name.replace("_", ".") for name in _modules("frontends"))


def connector_class(platform: str) -> type[Connector[Any]]:
    """A platform's connector. Raises Misconfigured when there is none or its library is missing."""
    if platform not in platforms():
        hint = did_you_mean(platform, platforms())
        raise Misconfigured(f"no connector for the platform {platform!r}; {hint}")
    try:
        module = importlib.import_module(f"connectors.{platform}")
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        if library in _OURS:
            raise
        text = f"the connector {platform} needs {library or 'a library'}, which is not installed"
        raise Misconfigured(f"{text}; pip install 'onebus[{platform}]'") from error
    connector: type[Connector[Any]] = module.Connector
    return connector


def protocol_config(protocol: str) -> type[Struct]:
    """What a bot standard's block in the configuration may hold."""
    module = importlib.import_module(f"frontends.{protocol.replace('.', '_')}.config")
    config: type[Struct] = module.Config
    return config


def _modules(package: str) -> tuple[str, ...]:
    path = importlib.import_module(package).__path__
    names = (module.name for module in pkgutil.iter_modules(path))
    return tuple(sorted(name for name in names if not name.startswith("_")))
