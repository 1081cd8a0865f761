"""Load on an HTTP address by wrk, which costs a few µs a request and so is not what is measured."""

import asyncio
import json
import os
from pathlib import Path

from tests.bench.measure import Load

SCRIPT = Path(__file__).with_name("wrk.lua")


async def http_load(url: str, bodies: Path, connections: int, seconds: float) -> Load:
    """POST the lines of a file in turns, one request at a time on each connection.

    wrk takes whole seconds. Any answer but 200 fails; a OneBot answer that says `failed` is 200
    too: who calls this looks at what the frontend counted.
    """
    command = ("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT))
    process = await asyncio.create_subprocess_exec(
        *command, url, stdout=asyncio.subprocess.PIPE, env={**os.environ, "BODIES": str(bodies)}
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    found = json.loads(output.splitlines()[-1])
    assert found.pop("wrong") == 0, output.decode()
    return Load(**found)
