"""What docs/admin/container has: the image and the services say what matters, and OPUS bears being
in containers. The image is built where there is an engine that has the image it begins with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from opus_core.config import load
from servers import LEDGER_WADL, Site, eventually, runs, site
from wheels import CHECKOUT, sources
from wsgi.installed import PATIENT_SCRIPT

FOLDER = CHECKOUT / "docs" / "admin" / "container"
IMAGE = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")


def lines(word: str) -> list[str]:
    return re.findall(rf"^{word} +(.*)", IMAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


def test_the_image_has_every_distribution_a_database_or_a_scheduler_needs():
    copied = [words.split()[0] for words in lines("COPY") if not words.startswith("--from")]
    assert all((CHECKOUT / name).exists() for name in copied)
    [install] = [words for words in lines("RUN") if "pip install" in words]
    for source in sources():
        name = str(source.relative_to(CHECKOUT))
        if name != "." and source.parent.name != "cellar":
            assert f"/checkout/{name} " in f"{install} " or "/checkout/plugins/*" in install
            assert name.split("/")[0] in copied


def test_the_image_runs_without_rights_and_by_commands_that_get_signals():
    assert lines("USER") == ["10001:10001"]
    assert IMAGE.index("\nUSER ") > IMAGE.rindex("\nRUN ")
    for word in ("CMD", "ENTRYPOINT"):
        assert all(words.startswith("[") for words in lines(word))
    [health] = lines("HEALTHCHECK")
    assert "/healthz" in health
    assert not re.search(r"(?i)password|token|secret=", IMAGE.replace("--secret id=pip", ""))


def test_no_service_has_a_secret_in_its_file_or_more_rights_than_it_needs(services):
    text = (FOLDER / "compose.yaml").read_text()
    assert not re.search(r"PASSWORD: |PASSWORD=", text)
    document = yaml.safe_load(text)
    for name in {one for service in services.values() for one in service["secrets"]}:
        assert document["secrets"][name]["file"].startswith("./secrets/")
    for name in ("web", "supervisor"):
        assert services[name]["cap_drop"] == ["ALL"]
        assert "privileged" not in services[name]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:8080:8080"]
    used = {v.split(":")[0] for service in services.values() for v in service["volumes"]}
    assert {one for one in used if not one.startswith(".")} == set(document["volumes"])


def test_the_web_server_waits_for_the_folder_and_every_host_name_lasts(services):
    assert services["web"]["depends_on"] == {"supervisor": {"condition": "service_healthy"}}
    assert services["supervisor"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    names = [services[name]["hostname"] for name in ("web", "supervisor")]
    assert len(set(names)) == 2
    assert [services[name]["command"] for name in ("web", "supervisor")] == [
        ["opus", "serve"],
        ["opus", "supervise"],
    ]


def test_the_configuration_is_one_and_fits_the_services(services):
    config = load(FOLDER / "opus.toml")
    assert config.supervisor.embedded is False
    assert config.anonymous is False
    assert config.private is False
    assert config.server.port == int(lines("EXPOSE")[0])
    assert config.storage.options["url"].split("@")[1].split("/")[0] in services
    [secret] = services["web"]["secrets"]
    assert config.storage.options["password_file"] == f"/run/secrets/{secret}"
    document = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    [network] = document["networks"]["default"]["ipam"]["config"]
    assert config.server.trusted_proxies == (network["gateway"],)


# -- as containers are: each with a name and processes of its own


@pytest.fixture
def apart(tmp_path) -> Iterator[Site]:
    with site(tmp_path / "site") as one:
        one.afresh = True  # with process numbers of its own
        one.configure(supervisor="embedded = false\nlease_seconds = 3\ngrace = 2")
        yield one
        for process in one.processes:
            end(process)


def contained(one: Site, host: str, command: str) -> subprocess.Popen[bytes]:
    """`opus COMMAND` in namespaces of its own, which end with it."""
    one.prefix = ("unshare", "--uts", "--pid", "--fork", "--mount-proc")
    one.prefix += ("sh", "-c", f'hostname {host} && exec "$@"', "-")
    try:
        return one.start(command)
    finally:
        one.prefix = ()


def test_jobs_go_on_when_the_container_of_the_web_server_is_replaced(apart, tmp_path):
    tried = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "true"]
    if not shutil.which("unshare") or subprocess.run(tried, capture_output=True).returncode:
        pytest.skip("namespaces of one's own, as containers have, cannot be made here")
    ledger = tmp_path / "ledger"
    supervisor = contained(apart, "supervisor", "supervise")
    eventually(lambda: (apart.folder / "data" / "instance").exists())
    web = contained(apart, "web", "serve")
    apart.wait_until_up(web)
    apart.describe("ledger", PATIENT_SCRIPT, LEDGER_WADL)
    job = apart.create("ledger", {"ledger": str(ledger)})
    eventually(lambda: runs(ledger) == 1)
    end(web)
    apart.wait_until_up(contained(apart, "another", "serve"))
    eventually(lambda: apart.phase(job) == "EXECUTING")
    # The supervisor's takes its jobs with it, and the next one knows.
    end(supervisor)
    contained(apart, "supervisor", "supervise")
    assert apart.wait(job) == "ERROR"
    job = apart.create("ledger", {"ledger": "-"})
    assert apart.wait(job) == "COMPLETED"
    assert runs(ledger) == 1


def end(process: subprocess.Popen[bytes]) -> None:
    """As an engine stops a container: its first process is asked to end, and all others go with it.

    unshare(1) itself lets no signal stop it while that lives.
    """
    if process.poll() is None:
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            os.kill(int(children.read()), signal.SIGTERM)
    process.wait(30)


# -- the image itself


@pytest.mark.timeout(1200)
def test_the_image_is_built_and_has_opus():
    engine = next((one for one in ("docker", "podman", "buildah") if answers(one)), None)
    if engine is None:
        pytest.skip("no container engine answers here: neither docker nor podman nor buildah")
    base = os.environ.get("OPUS_BASE_IMAGE")
    if base is None:
        base = re.search(r"^ARG PYTHON=(.*)", IMAGE, re.MULTILINE)[1]
    present = subprocess.run([engine, "inspect", base], capture_output=True).returncode == 0
    pull = [engine, "pull", base]
    if not present and subprocess.run(pull, capture_output=True, timeout=300).returncode:
        pytest.skip(f"{engine} cannot fetch {base}, which the image begins with")
    command = [engine, "build", "--build-arg", f"PYTHON={base}", "--tag", "opus-test"]
    command += ["--file", FOLDER / "Dockerfile", CHECKOUT]
    subprocess.run(command, check=True, timeout=1000)
    if engine != "buildah":
        run = [engine, "run", "--rm", "--read-only", "opus-test", "opus", "--version"]
        assert subprocess.run(run, check=True, capture_output=True).stdout.startswith(b"opus ")


def answers(engine: str) -> bool:
    found = shutil.which(engine)
    return bool(found) and not subprocess.run([found, "info"], capture_output=True).returncode
