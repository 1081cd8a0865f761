"""A service as the gateway sees it: ready, and with one of several ways to treat a request.

Runs in a container. It prints what it was asked, a line each; `/hang-up` is read and not answered.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    server_version = "secret/1.0"

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self._answer({})
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {"method": self.command, "path": self.path, "body": body.decode()}
        print(json.dumps(asked), flush=True)
        if self.path.endswith("/hang-up"):
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(asked | {"by": sys.argv[1], "headers": headers})

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing else is printed."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 6727), Service).serve_forever()
