"""Who speaks to whom: a program that runs on this machine and in containers alike.

A connection alone says nothing: where packets to an unknown address leave the machine, something
far away may take them. So each is asked how it does; onebus and NATS answer in ways of their own.
"""

import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

PORTS = (6727, 4222, 6222, 8222)
"""Of onebus and the gateway; of NATS for clients, for other nodes, and of its monitoring."""
ANSWERS = (b'"alive"', b"INFO {", b'"status":"ok"', b'"status": "ok"')
WITHIN_S = 2.0


def speaks(where: str) -> bool:
    """Whether one of ours answers at `host:port`."""
    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), WITHIN_S) as asking:
            asking.settimeout(WITHIN_S)
            asking.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            said = asking.recv(4096)
            while said and not any(answer in said for answer in ANSWERS) and len(said) < 8192:
                more = asking.recv(4096)
                if not more:
                    break
                said += more
    except OSError:
        return False
    return any(answer in said for answer in ANSWERS)


def reached(addresses: Sequence[str]) -> list[str]:
    """Those at which one of ours answers."""
    with ThreadPoolExecutor(32) as pool:
        found = zip(addresses, pool.map(speaks, addresses), strict=True)
        return [where for where, answered in found if answered]


if __name__ == "__main__":
    print(*reached(sys.argv[1:]))
