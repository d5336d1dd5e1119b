"""The shipped image and compose file, for real: build it, start it, run its demo profile, and take it down.

DSM_BASE_IMAGE names the image to build on where the default cannot be pulled; `base-image.sh` makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import compose

ROOT = Path(__file__).parent.parent.parent
NODES = ("node-1", "node-2", "node-3")
WORKERS = ("demo-1", "demo-2", "demo-3")
STRESS = ("stress-1", "stress-2", "stress-3")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""A file of some pages that every container has."""
BUILD_TIMEOUT = 600.0
RUN_TIMEOUT = 180.0

pytestmark = pytest.mark.needs("docker", "userfaultfd")


class Cluster:
    """One compose project with a name, an image and volumes of its own."""

    def __init__(self, project: str) -> None:
        profiles = ("--profile", "demo", "--profile", "stress")
        self.command = [*compose(), "--project-name", project, *profiles]
        self.environment = os.environ | {"DSM_IMAGE": f"{project}:test"}

    def __call__(self, *arguments: str, timeout: float = RUN_TIMEOUT) -> str:
        return _output([*self.command, *arguments], self.environment, timeout)

    def container(self, service: str) -> str:
        """The id of the one container of a service."""
        return self("ps", "-q", service).strip()

    def dsm(self, service: str, *arguments: str) -> dict[str, object]:
        """What a `dsm` command prints as JSON inside a service's container."""
        answer = json.loads(self("exec", "-T", service, "dsm", *arguments, "-o", "json"))
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(f"dsm-test-{os.getpid()}")
    try:
        # One build: all services share the image.
        cluster("build", "directory", timeout=BUILD_TIMEOUT)
        # The directory's and the nodes' health is what each next service waits for, up to the workers of the demo.
        try:
            cluster("up", "--detach", "--no-build", "directory", *NODES, *WORKERS)
        except AssertionError as error:
            pytest.fail(f"{error}\n{cluster('logs', '--no-color')}")
        yield cluster
    finally:
        cluster("down", "--volumes", "--rmi", "all", "--timeout", "10")


def test_the_directory_and_every_node_are_healthy(cluster: Cluster) -> None:
    for service in ("directory", *NODES):
        assert _inspect(cluster.container(service), "{{.State.Health.Status}}") == "healthy"


def test_every_node_has_joined(cluster: Cluster) -> None:
    for service in NODES:
        status = cluster.dsm(service, "status")
        assert status["node"] == service
        assert status["joined"] is True


def test_the_demo_with_one_client_container_per_node_ends_well(cluster: Cluster) -> None:
    codes = {worker: _output(["docker", "wait", cluster.container(worker)]) for worker in WORKERS}
    assert codes == dict.fromkeys(WORKERS, "0"), cluster("logs", "--no-color", *WORKERS)


def test_three_containers_under_stress_are_coherent(cluster: Cluster) -> None:
    cluster("up", "--detach", "--no-build", *STRESS)
    codes = {worker: _output(["docker", "wait", cluster.container(worker)]) for worker in STRESS}
    assert codes == dict.fromkeys(STRESS, "0"), cluster("logs", "--no-color", *STRESS)


def test_what_one_container_puts_another_gets_and_no_law_is_broken_on_the_way(cluster: Cluster) -> None:
    cluster("exec", "-T", "node-1", "dsm", "put", CERTIFICATES, "certificates")
    cluster("exec", "-T", "node-3", "dsm", "get", "certificates", "/tmp/got")
    cluster("exec", "-T", "node-3", "cmp", "/tmp/got", CERTIFICATES)
    found = cluster.dsm("directory", "check", "--directory", "127.0.0.1:4711")
    assert found["verdict"] == "ok" and found["judged"] == found["pages"] != 0


def test_the_image_runs_without_a_capability(cluster: Cluster) -> None:
    for service in ("directory", *NODES, *WORKERS):
        assert _inspect(cluster.container(service), "{{.HostConfig.CapDrop}}") == "[ALL]"


def _inspect(container: str, template: str) -> str:
    return _output(["docker", "inspect", "--format", template, container])


def _output(command: list[str], environment: dict[str, str] | None = None, timeout: float = RUN_TIMEOUT) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()
