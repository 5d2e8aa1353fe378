"""The templates of a Ray cluster: sound YAML that names one image, one folder, one port, and commands that Ray takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from headstart.base import executor
from tests import ROOT

DOCKERFILE = (ROOT / "runners/Dockerfile").read_text()


def documents(name: str) -> list[Any]:
    return list(YAML(typ="safe").load_all((ROOT / "runners" / name).read_text()))


def started() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """The role, the command and the environment of each node, of both templates."""
    (composed,) = documents("ray-docker.yaml")
    for role, service in composed["services"].items():
        yield role, shlex.split(service["command"]), service["environment"]
    for document in documents("ray-kubernetes.yaml"):
        if document["kind"] == "Deployment":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            environment = {one["name"]: one.get("value", "a secret") for one in container["env"]}
            yield document["metadata"]["name"].rpartition("-")[2], container["command"], environment


NODES = list(started())


@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.parametrize(("role", "command", "environment"), NODES, ids=[f"{role}-{number}" for number, (role, _, _) in enumerate(NODES)])
def test_ray_takes_the_command(role: str, command: list[str], environment: dict[str, str]) -> None:
    scripts = pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed: pip install 'headstart[ray]'")
    assert command[:2] == ["ray", "start"]
    options = scripts.start.make_context("start", command[2:]).params
    assert options["block"]
    assert bool(options["head"]) == (role == "head")
    assert (options["port"] == 6379) if role == "head" else options["address"].endswith(":6379")
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN"]
    if role == "head":
        assert environment[executor.ADDRESS] == "127.0.0.1:6379", "where stages that run there look for the cluster"


def test_all_nodes_see_the_project_at_one_path() -> None:
    folder = re.findall(r"^WORKDIR (\S+)$", DOCKERFILE, re.MULTILINE)
    (composed,) = documents("ray-docker.yaml")
    for service in composed["services"].values():
        assert service["working_dir"] == folder[0]
        assert [volume.rpartition(":")[2] for volume in service["volumes"]] == folder
    for document in documents("ray-kubernetes.yaml"):
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            assert pod["containers"][0]["workingDir"] == folder[0]
            assert folder[0] in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
            assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
            assert document["spec"]["selector"]["matchLabels"] == document["spec"]["template"]["metadata"]["labels"]


def test_workers_find_the_head() -> None:
    service, head, worker = documents("ray-kubernetes.yaml")
    assert service["spec"]["selector"] == head["spec"]["selector"]["matchLabels"]
    (address,) = [part for part in worker["spec"]["template"]["spec"]["containers"][0]["command"] if part.startswith("--address=")]
    assert address == f"--address={service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def test_the_image_has_ray() -> None:
    assert "requirements.lock" in DOCKERFILE
    assert re.search(r"^ray==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
