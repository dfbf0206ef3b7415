"""What docs/deploy ships is what the code takes: flags, variables, ports, paths, metrics."""

from __future__ import annotations

import json
import plistlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.export.promql import matches, selectors
from tests.patience import PATIENCE
from vs_tui.api.openapi import OPEN
from vs_tui.cli.main import main
from vs_tui.config.model import DEFAULT_PORT
from vs_tui.export.prometheus import Metrics
from vs_tui.model.limits import MIB, Limits
from vs_tui.store.export_queue import ExportState

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "docs" / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
MANIFESTS = sorted(DEPLOY.glob("kubernetes*.yaml"))
PYCACHE = shutil.ignore_patterns("__pycache__")
VARIABLES = {
    name
    for path in (ROOT / "vs_tui").rglob("*.py")
    for name in re.findall(r'"(VS_[A-Z_]+)"', path.read_text("utf-8"))
}


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def one(name: str) -> Any:
    return yaml.safe_load(text(name))


def check_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command of ours exists and takes these flags."""
    command, flags = words[0], [word for word in words[1:] if word.startswith("--")]
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(flags) <= known, words


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def instructions() -> Iterator[tuple[str, str]]:
    """(instruction, rest) of the Containerfile."""
    joined = re.sub(r"\\\n\s*", "", text("Containerfile"))
    for line in joined.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest


def test_every_file_is_in_the_readme() -> None:
    listed = set(re.findall(r"\]\(([^)#]+)\)", text("README.md")))
    for path in FILES:
        name = str(path.relative_to(DEPLOY))
        beside = name.startswith("grafana/") or name in ("README.md", "prometheus.yml")
        assert beside or name in listed, name


def test_the_image_holds_what_is_needed_to_build_and_is_not_root(capsys) -> None:
    found = list(instructions())
    copied = [
        word.rstrip("/")
        for name, rest in found
        if name == "COPY" and not rest.startswith("--from")
        for word in rest.split()[:-1]
    ]
    for word in copied:
        assert (ROOT / word).exists(), word
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["project"]["readme"], *wheel["packages"]}
    assert needed | {"pyproject.toml", "requirements.lock"} <= set(copied)
    by_name = dict(found)
    user = by_name["USER"].partition(":")[0]
    assert user.isdigit() and user != "0"
    assert f"--uid {user}" in "".join(rest for name, rest in found if name == "RUN")
    (install,) = (rest for name, rest in found if name == "RUN" and "pip install" in rest)
    extra = re.search(r"\[(\w+)\]", install)
    assert extra and extra[1] in project["project"]["optional-dependencies"]
    variables = dict(pair.split("=", 1) for pair in by_name["ENV"].split())
    assert {name for name in variables if name.startswith("VS_")} <= VARIABLES
    assert by_name["VOLUME"] == variables["VS_DATA_DIR"]
    assert json.loads(by_name["ENTRYPOINT"]) == ["vs-tui"]
    command = json.loads(by_name["CMD"])
    check_command(command, capsys)
    assert option(command, "--port") == by_name["EXPOSE"] == str(DEFAULT_PORT)
    assert f"http://127.0.0.1:{DEFAULT_PORT}/readyz" in by_name["HEALTHCHECK"]
    compile(json.loads(by_name["HEALTHCHECK"].partition("CMD ")[2])[2], "healthcheck", "exec")


@pytest.mark.timeout(900)
def test_the_image_in_a_fresh_environment(tmp_path) -> None:
    """The Containerfile's steps but for the user, with its folders and its port elsewhere: what is
    copied makes the package, which starts, is healthy, and ends on the image's signal."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    moved = {"/opt/vs-tui": str(tmp_path / "opt"), "/data": str(tmp_path / "data")}

    def here(text: str) -> str:
        for image, local in {**moved, "5000": port, "--no-cache-dir": ""}.items():
            text = text.replace(image, local)
        return text

    source = tmp_path / "src"
    source.mkdir()
    packages = tmp_path.joinpath("opt", *Path(sysconfig.get_path("purelib")).parts[-3:])
    plain = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PIP_NO_COMPILE": "1"}
    final: dict[str, str] = {}
    for name, rest in instructions():
        *from_, to = rest.split()
        if name == "COPY" and not rest.startswith("--from"):
            for word in from_:
                if (ROOT / word).is_dir():
                    shutil.copytree(ROOT / word, source / to, ignore=PYCACHE)
                else:
                    shutil.copy(ROOT / word, source / to)
        elif name == "RUN" and "useradd" not in rest:
            subprocess.run(["sh", "-ec", here(rest)], cwd=source, env=plain, check=True)
            # What is installed here already is not fetched again.
            (packages / "tests.pth").write_text(sysconfig.get_path("purelib"))
        final[name] = here(rest)
    variables = dict(pair.split("=", 1) for pair in final["ENV"].split())
    variables["PATH"] = variables["PATH"].replace("$PATH", plain["PATH"])
    command = [*json.loads(final["ENTRYPOINT"]), *json.loads(final["CMD"])]
    running = subprocess.Popen(
        ["env", *(f"{name}={value}" for name, value in variables.items()), *command],
        cwd=tmp_path,
        env={},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == f"listening on http://0.0.0.0:{port}\n"
        check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
        subprocess.run(check, env={"PATH": variables["PATH"]}, timeout=PATIENCE, check=True)
    finally:
        running.send_signal(signal.Signals[final["STOPSIGNAL"]])
        assert running.wait(60) == 0


def test_the_compose_file(capsys) -> None:
    compose = one("compose.yaml")
    services = compose["services"]
    receiver = services["receiver"]
    check_command(receiver["command"], capsys)
    assert option(receiver["command"], "--port") == str(DEFAULT_PORT)
    assert receiver["ports"] == [f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}"]
    scraped = one("prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == [f"receiver:{option(receiver['command'], '--metrics-port')}"]
    assert {name for name in receiver["environment"] if name.startswith("VS_")} <= VARIABLES
    build = receiver["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Containerfile")
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in compose["volumes"], source


def test_grafana_finds_sources_and_dashboards() -> None:
    services = one("compose.yaml")["services"]
    for source in one("grafana/datasources.yaml")["datasources"]:
        host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()
        assert host in services
        if host == "receiver":
            assert int(port) == DEFAULT_PORT
            assert source["jsonData"]["allowedHosts"] == [source["url"]]
    kinds = {source["type"] for source in one("grafana/datasources.yaml")["datasources"]}
    for board in (ROOT / "docs" / "grafana").glob("*.json"):
        variables = json.loads(board.read_text("utf-8"))["templating"]["list"]
        assert {v["query"] for v in variables if v["type"] == "datasource"} <= kinds
    (provider,) = one("grafana/dashboards.yaml")["providers"]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_of_kubernetes(manifest, capsys) -> None:
    documents = {d["kind"]: d for d in yaml.safe_load_all(manifest.read_text("utf-8"))}
    pod = documents["Deployment"]["spec"]["template"]
    labels = documents["Deployment"]["spec"]["selector"]["matchLabels"]
    assert pod["metadata"]["labels"] == labels == documents["Service"]["spec"]["selector"]
    (container,) = pod["spec"]["containers"]
    check_command(container["args"], capsys)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert option(container["args"], "--port") == str(ports["http"]) == str(DEFAULT_PORT)
    assert option(container["args"], "--metrics-port") == str(ports["metrics"])
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in OPEN and asked["port"] in ports
    for port in documents["Service"]["spec"]["ports"]:
        assert port["targetPort"] in ports
    assert {entry["name"] for entry in container["env"]} <= VARIABLES
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) <= volumes
    by_name = dict(instructions())
    assert mounts["data"] == by_name["VOLUME"]
    user = by_name["USER"].partition(":")[0]
    assert str(pod["spec"]["securityContext"]["runAsUser"]) == user
    several = documents["Deployment"]["spec"]["replicas"] > 1
    assert several == any(entry["name"] == "VS_LOG" for entry in container["env"])
    assert several or documents["Deployment"]["spec"]["strategy"]["type"] == "Recreate"
    for secret in pod["spec"].get("initContainers", ()):
        assert secret["command"][-1].startswith(mounts["data"])


@pytest.mark.parametrize("name", ["Caddyfile", "nginx.conf"])
def test_a_reverse_proxy(name) -> None:
    bare = re.sub(r"^\s*#.*$", "", text(name), flags=re.MULTILINE)
    bare = re.sub(r"'[^']*'", "''", bare)
    depth = 0
    for line in bare.splitlines():
        # Of nginx's directives these stand beside a server, never in it.
        assert not (depth and re.match(r"\s*(log_format|upstream|server)\s+\S", line)) or (
            re.match(r"\s*server\s+[\d.]+:\d+;", line)
        ), line
        for letter in line:
            depth += (letter == "{") - (letter == "}")
            assert depth >= 0
    assert depth == 0
    assert f"127.0.0.1:{DEFAULT_PORT}" in bare
    (size,) = re.findall(r"(?:max_size|client_max_body_size)\s+(\d+)(?:MiB|m)\b", bare)
    assert int(size) * MIB == Limits().body
    if name == "nginx.conf":
        for line in bare.splitlines():
            assert not line.strip() or line.strip()[-1] in "{};", line
        assert re.search(r"location = /api/stream \{[^}]*proxy_buffering off;", bare)
    else:
        assert "flush_interval -1" in bare


def test_the_launchd_agent(capsys) -> None:
    path = DEPLOY / "dev.vs-tui.receiver.plist"
    agent = plistlib.loads(path.read_bytes())
    assert agent["Label"] == path.stem
    program, *words = agent["ProgramArguments"]
    assert program.endswith("/bin/vs-tui")
    check_command(words, capsys)
    assert set(agent["EnvironmentVariables"]) <= VARIABLES
    assert agent["Umask"] == 0o077


def test_tunnels_lead_to_the_port() -> None:
    block = re.findall(r"```sh\n(.*?)```", text("README.md"), re.DOTALL)[0]
    lines = block.strip().splitlines()
    assert len(lines) == 4
    assert all(re.search(rf"\b{DEFAULT_PORT}\b", line) for line in lines)


def test_the_collector_hands_on_to_us() -> None:
    config = one("otel-collector.yaml")
    (exporter,) = config["exporters"].values()
    assert exporter["endpoint"] == f"http://127.0.0.1:{DEFAULT_PORT}"
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= set(config["receivers"])
        assert set(pipeline["exporters"]) <= set(config["exporters"])
    variables = set(re.findall(r"\$\{env:(\w+)\}", text("otel-collector.yaml")))
    assert variables <= VARIABLES


def test_every_alert_asks_for_a_metric_that_exists() -> None:
    metrics = Metrics()
    metrics.show_export("traces", ExportState())
    metrics.deliveries.set(1, "github", "accepted")
    metrics.deliveries.set(1, "github", "quarantined")
    found = {
        (sample.name, tuple(sample.labels.items())): sample.labels
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    rules = one("alerts.yml")["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        if rule["expr"].startswith("up{"):
            assert 'job="vs-tui"' in rule["expr"]
            continue
        asked = list(selectors(rule["expr"]))
        assert asked, rule["expr"]
        for name, wanted in asked:
            fitting = [labels for (each, _), labels in found.items() if each == name]
            assert any(matches(labels, wanted) for labels in fitting), rule["alert"]
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert any(label in labels for labels in fitting), rule["alert"]
