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
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from msgspec import Struct
from tests.deploy.rendered import BIN, K8S, copy_tree, run

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900)]

NAMESPACE = "onebus-test"
ROLLOUT_S = 300
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


def kubectl(*arguments: str, input_text: str | None = None) -> str:
    """What kubectl printed, or a failure that shows it."""
    done = subprocess.run(
        [str(BIN / "kubectl"), *arguments],
        input=input_text,
        capture_output=True,
        text=True,
        timeout=ROLLOUT_S + 60,
        check=False,
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def minor_version() -> int:
    """Of the server: 20 for 1.20."""
    minor = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["minor"]
    return int(re.sub(r"\D", "", minor))


def write_overlay(tree: Path) -> str:
    """The overlay `plain` in our namespace, with the documented components for old servers."""
    minor = minor_version()
    old = [f"before-1.{limit}" for limit in (23, 21) if minor < limit]
    given = {name: os.environ[key] for name, key in IMAGES.items() if os.environ.get(key)}
    images = {name: image.rpartition(":") for name, image in given.items()}
    folder = tree / K8S / "overlays/tested"
    folder.mkdir()
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["../plain"],
        "components": [f"../../components/{name}" for name in old],
        "images": [{"name": n, "newName": i[0], "newTag": i[2]} for n, i in images.items()],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return run([str(BIN / "kubectl"), "kustomize", str(folder)], tree)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("NOT RUN: set KUBECONFIG to the file of a cluster for tests")
    tree = copy_tree(tmp_path_factory.mktemp("cluster"))
    manifests = write_overlay(tree)
    kubectl("create", "namespace", NAMESPACE)  # fails where somebody else has one of this name
    try:
        kubectl("apply", "-f", "-", input_text=manifests)
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
        command = [str(BIN / "kubectl"), "port-forward", "-n", NAMESPACE, "service/gateway", ":80"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        line = self._process.stdout.readline()
        port = re.search(r":(\d+) ->", line)
        assert port, line
        return f"http://127.0.0.1:{port[1]}"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


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
    test_a_message_goes_through(cluster)
    assert restarts() == before


def restarts() -> dict[str, int]:
    """How often each of our containers was started anew."""
    pods = json.loads(kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
    return {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"].get("containerStatuses", ())
        if status["name"] == "onebus"
    }
