"""deploy/k8s on a real cluster: rollout, a message through, and a rolling restart under load.

`make k8s-test` runs it against the cluster of KUBECONFIG (kind, k3d, or one for tests), in the
namespace onebus-test, which it makes and deletes. It is no part of `make test` and `.ci/run`: where
there is no cluster it fails and says so. ONEBUS_IMAGE, NATS_IMAGE and HAPROXY_IMAGE (NAME:TAG) are
the images to run, where the nodes cannot pull those of the manifests.
"""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from msgspec import Struct
from tests.deploy.rendered import K8S, copy_tree
from tests.k8s.server import KUBECTL, OWN_KUBECTL, kubectl, overlay, patches_for

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900)]

NAMESPACE = "onebus-test"
ROLLOUT_S = 300
CLAIMED_AGAIN_S = 60
"""Longest time until an account is owned again after NATS was away."""
IMAGES = {"onebus": "ONEBUS_IMAGE", "nats": "NATS_IMAGE", "haproxy": "HAPROXY_IMAGE"}
BOT, PAGE = "sandbox/demo/onebot/v11", "sandbox/demo/api"


class Cluster(Struct, frozen=True):
    """What was applied, and how to speak to it through the gateway."""

    secrets: Path
    url: str

    def call(self, path: str, token: str, body: object = None) -> dict[str, object]:
        """The JSON answer of a call; `token` names whose access token is presented."""
        bearer = (self.secrets / token / "access-token").read_text()
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/{path}", data, headers), timeout=30) as answer:
            found: dict[str, object] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def cluster(minor: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    tree = copy_tree(tmp_path_factory.mktemp("cluster"))
    images = {name: image for name, key in IMAGES.items() if (image := os.environ.get(key))}
    manifests = overlay(tree, "plain", NAMESPACE, patches_for(minor), images)
    kubectl("create", "namespace", NAMESPACE)  # fails where somebody else has one of this name
    try:
        kubectl("apply", "-f", "-", input_text=manifests, program=OWN_KUBECTL)
        kubectl("wait", "-n", NAMESPACE, "job/setup", "--for=condition=complete", "--timeout=300s")
        roll_out()
        with forwarded() as url:
            yield Cluster(tree / K8S / "secrets", url)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--timeout=240s")


def roll_out() -> None:
    """Return when every pod of every workload is ready."""
    found = kubectl("get", "-n", NAMESPACE, "statefulsets,deployments", "-o", "name").split()
    assert len(found) >= 7, found
    for name in found:
        kubectl("rollout", "status", "-n", NAMESPACE, name, f"--timeout={ROLLOUT_S}s")


class forwarded:  # noqa: N801 # a context manager
    """The gateway at a port of this machine."""

    def __enter__(self) -> str:
        command = [KUBECTL, "port-forward", "-n", NAMESPACE, "service/gateway", ":80"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        line = self._process.stdout.readline()
        port = re.search(r":(\d+) ->", line)
        assert port, line
        return f"http://127.0.0.1:{port[1]}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)  # closes its pipe as well


def test_a_message_goes_through(cluster: Cluster) -> None:
    body = {"user_id": "alice", "message": "Hello"}
    answer = cluster.call(f"{BOT}/send_private_msg", "onebot", body)
    assert answer["status"] == "ok", answer
    assert "Hello" in json.dumps(cluster.call(f"{PAGE}/messages?user=alice", "sandbox"))


def test_a_rolling_restart_fails_no_call(cluster: Cluster) -> None:
    """One call after the other while every frontend and connector is replaced."""
    ends: list[str] = []
    over = threading.Event()
    thread = threading.Thread(target=repeat, args=(cluster, ends.append, over.is_set))
    thread.start()
    try:
        for name in ("frontend-http", "connector-sandbox"):
            kubectl("rollout", "restart", "-n", NAMESPACE, f"deployment/{name}")
            kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{name}", "--timeout=300s")
    finally:
        over.set()
        thread.join(60)
    assert len(ends) > 20
    assert set(ends) == {"ok"}, [end for end in ends if end != "ok"][:5]


def repeat(cluster: Cluster, note: Callable[[str], None], over: Callable[[], bool]) -> None:
    """Call until it is over; note how each ended."""
    while not over():
        end = "no answer"
        with suppress(URLError, OSError):
            body = {"user_id": "bob", "message": "still there?"}
            end = str(cluster.call(f"{BOT}/send_private_msg", "onebot", body)["status"])
        note(end)


def test_nats_may_go_and_come(cluster: Cluster) -> None:
    """Its pod is replaced: nobody else is started anew, and messages go through again."""
    before = restarts()
    kubectl("delete", "pod", "-n", NAMESPACE, "nats-0", "--timeout=120s")
    roll_out()
    call_until_taken(cluster, CLAIMED_AGAIN_S)
    test_a_message_goes_through(cluster)
    after = restarts()  # without those that were still ending before
    assert after
    assert after.items() <= before.items()


def call_until_taken(cluster: Cluster, limit_s: float) -> None:
    """Return when the account has an owner again; before, it is offline and nothing is sent."""
    ends: list[str] = []
    until = time.monotonic() + limit_s
    repeat(cluster, ends.append, lambda: "ok" in ends or time.monotonic() > until)
    assert "ok" in ends, ends[-5:]


def restarts() -> dict[str, int]:
    """How often each of our containers was started anew."""
    pods = json.loads(kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"].get("containerStatuses", ())
        if status["name"] == "onebus"
    }
