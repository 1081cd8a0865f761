"""What goes wrong with a connection to NATS, said once each and with what to do about it."""

import logging
import re
import ssl

from nats.errors import AuthorizationError

logger = logging.getLogger(__name__)

MAX_SAID = 50
"""Different troubles that are told of one connection; who sees so many sees enough."""
SHOWN_TOKENS = 5
"""Of a subject: what is behind them names chats and messages, and is never the same."""

_FORBIDDEN = re.compile(
    r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE
)
_REFUSED = "authorization violation"
_NAMES = (62, 64)
"""OpenSSL: the certificate is for another host name, another address."""
_OTHER_NAME = "bus.url must have a name that the server's certificate has"
_OTHER_CA = "bus.tls.ca must hold the CA that signed the server's certificate"
_WHERE = "(bus.url or NATS_URL says where it is)"


class Troubles:
    """Of one connection to `where`, as `user`. `last` is the latest that kept it from connecting.

    What a user may not do is no reason to be disconnected, and the same again after a reconnect.
    """

    def __init__(self, where: str, user: str) -> None:
        self.last = ""
        self._where = where
        self._user = user
        self._said: set[str] = set()
        self._forbidden: set[str] = set()

    def over(self) -> None:
        """Connected: what comes now is new."""
        self.last = ""
        self._said.clear()

    def tell(self, error: Exception, *, connected: bool) -> None:
        """Log it, unless it was. Never raises: that would kill nats-py's read loop."""
        if forbidden := _FORBIDDEN.search(str(error)):
            self._tell_forbidden(forbidden[1], forbidden[2])
            return
        problem = self._explained(error)
        # A server that refuses says why, and hangs up, maybe while we write: that explains nothing.
        if not (self.last and isinstance(error, (ConnectionResetError, BrokenPipeError))):
            self.last = problem
        if _new(problem, self._said):  # several servers may each have one, in turns
            hint = "" if connected else f"; trying on {_WHERE}"
            logger.warning("NATS at %s: %s%s", self._where, problem, hint)

    def _tell_forbidden(self, doing: str, subject: str) -> None:
        tokens = subject.split(".")
        shown = ".".join(tokens[:SHOWN_TOKENS]) + (".…" if len(tokens) > SHOWN_TOKENS else "")
        verb = "publish" if doing == "publish" else "subscribe"
        if _new(f"{verb} {shown}", self._forbidden):
            logger.error(
                "NATS at %s forbids the user %r to %s to %s: is bus.user the one of this service,"
                " and are its permissions those of this version (onebus bus setup --auth)?",
                *(self._where, self._user, verb, shown),
            )

    def _explained(self, error: Exception) -> str:
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, AuthorizationError) or _REFUSED in str(error).lower():
            return f"{problem}: bus.user ({self._user or 'none'}) or bus.password is wrong"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{problem}: {_OTHER_NAME if error.verify_code in _NAMES else _OTHER_CA}"
        return problem


def _new(what: str, said: set[str]) -> bool:
    """Note it; whether it is to be told."""
    if what in said or len(said) >= MAX_SAID:
        return False
    said.add(what)
    return True
