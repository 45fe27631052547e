"""What `opus check` says of the files by which a site is run."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import sys
from pathlib import Path

import pytest

from opus_core.config import load
from opus_core.deployment import Deployment, faults, parts
from opus_core.deployment.files import BESIDE, DEPLOY

EDITS = {
    # name: (file, pattern, by, what the sentence has)
    "another configuration": ("wsgi.py", r"opus\.toml", "other.toml", "it goes by "),
    "no Python": ("wsgi.py", "^application = ", "application = = ", "line 3 is no Python"),
    "no password": ("apache.conf", "^WSGIPassAuthorization On$", "", "no token reaches OPUS"),
    "password off": ("apache.conf", "^(WSGIPassAuthorization) On$", r"\1 Off", "no token reaches"),
    "no chunks": ("apache.conf", "^WSGIChunkedRequest On$", "", "(411)"),
    "sub-interpreter": ("apache.conf", "^WSGIApplicationGroup .*$", "", "lxml"),
    "no daemon": ("apache.conf", "^WSGIDaemonProcess (.|\n )*$", "", "add it"),
    "no python-home": ("apache.conf", 'python-home="[^"]*" ', "", "which Python has OPUS"),
    "python-home gone": ("apache.conf", 'python-home="[^"]*"', "python-home=/gone", "not there"),
    "another Python": ("apache.conf", 'python-home="[^"]*"', "python-home=/usr", "another Python"),
    "threads": ("apache.conf", "threads=64", "threads=5", "threads=5, and [server] threads is 64"),
    "home gone": ("apache.conf", ' home="[^"]*"', ' home="/gone"', "home=/gone is not there"),
    "processes=1": ("apache.conf", "threads=64", "threads=64 processes=1", "leave it out"),
    "socket-timeout": ("apache.conf", "socket-timeout=120", "socket-timeout=60", "write 120"),
    "no socket-timeout": ("apache.conf", "socket-timeout=120", "", "absent, so 60 s"),
    "LimitRequestBody": ("apache.conf", "^LimitRequestBody .*$", "LimitRequestBody 9", "9 bytes"),
    "no LimitRequestBody": ("apache.conf", "^LimitRequestBody .*$", "", "absent, so 1073741824"),
    "odd LimitRequestBody": ("apache.conf", "^(LimitRequestBody) .*$", r"\1 all", "is no size"),
    "no wsgi.py": ("apache.conf", r"/wsgi\.py", "/gone.py", "which is not there"),
    "no such user": ("apache.conf", "user=[^ ]+", "user=nobody-at-all", "no system user"),
    "another port": ("deploy/nginx.conf", "8080", "8088", "listens at http://127.0.0.1:8080"),
    "nginx waits": ("deploy/nginx.conf", "proxy_read_timeout 120s", "proxy_read_timeout 1m", "120"),
    "nginx's own wait": ("deploy/nginx.conf", "^ +proxy_read_timeout .*$", "", "absent, so 60 s"),
    "nginx's limit": ("deploy/nginx.conf", "^( +client_max_body_size) .*$", r"\1 10m;", "10485760"),
    "nginx's own limit": ("deploy/nginx.conf", "^ +client_max_body_size .*$", "", "absent, so 104"),
    "odd time": ("deploy/nginx.conf", "proxy_read_timeout 120s", "proxy_read_timeout x", "no time"),
    "buffering": ("deploy/nginx.conf", "^ +proxy_request_buffering .*$", "", "keeps each upload"),
    "Apache waits": ("deploy/apache-proxy.conf", "timeout=120", "timeout=30", "write 120"),
    "Apache's limit": (
        "deploy/apache-proxy.conf",
        "LimitRequestBody .*",
        "LimitRequestBody 1",
        "1 b",
    ),
    "Apache's port": ("deploy/apache-proxy.conf", "8080", "80", "ProxyPass leads to"),
    "KillMode": ("deploy/opus-serve.service", "^KillMode=.*$", "", "kills all jobs"),
    "another KillMode": (
        "deploy/opus-supervise.service",
        "^(KillMode)=.*$",
        r"\1=mixed",
        "kills all",
    ),
    "no program": (
        "deploy/opus-serve.service",
        "^ExecStart=[^ ]+",
        "ExecStart=/gone",
        "no program",
    ),
    "unit's file": (
        "deploy/opus-serve.service",
        r"/opus\.toml serve",
        "/a.toml serve",
        "it goes by",
    ),
    "root": ("deploy/opus-serve.service", "^User=.*$", "", "it runs as root"),
    "no unit's user": (
        "deploy/opus-serve.service",
        "^User=.*$",
        "User=nobody-at-all",
        "no system u",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """As `opus init` leaves it, where OPUS is in a folder of its own."""
    folder = tmp_path / "opus"
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "opus").touch(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    folder.mkdir()
    (folder / "opus.toml").write_text(f'data_dir = "{folder}"\n')
    write(folder)
    return folder


def write(folder: Path) -> None:
    file = folder / "opus.toml"
    user = getpass.getuser()
    deployment = Deployment(config=load(file), file=file, user=user, apache_user=user)
    for name, text in deployment.files():
        (folder / name).parent.mkdir(exist_ok=True)
        # Root has no place in a unit; here it stands for whoever runs the tests.
        (folder / name).write_text(text.replace("User=root\n", "User=nobody\n"))


def configure(folder: Path, text: str) -> None:
    (folder / "opus.toml").write_text(f'data_dir = "{folder}"\n{text}')


def said(folder: Path, etc: Path | None = None) -> list[str]:
    found = faults(load(folder / "opus.toml"), etc or folder / "no etc")
    # pytest's folders are closed to nobody and to Apache, which are tests of their own.
    return [one for one in found if "user nobody may not" not in one and "403" not in one]


def edit(folder: Path, file: str, pattern: str, by: str) -> None:
    text, times = re.subn(pattern, by, (folder / file).read_text(), flags=re.MULTILINE)
    assert times == 1
    (folder / file).write_text(text)


def test_nothing_is_wrong_with_what_was_written(folder):
    assert said(folder) == []
    configure(folder, "[server]\nport = 80\nthreads = 5\n[jobs]\nmax_wait = 600\nmax_upload = 1\n")
    assert said(folder) != []
    write(folder)
    assert said(folder) == []


@pytest.mark.parametrize("name", EDITS)
def test_each_damage_is_one_sentence_that_names_the_file(folder, name):
    file, pattern, by, sentence = EDITS[name]
    edit(folder, file, pattern, by)
    [found] = said(folder)
    assert found.startswith(f"{folder / file}: ")
    assert sentence in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("[server]\nthreads = 9\n", ["apache.conf"]),
        ("[jobs]\nmax_wait = 600\n", ["apache.conf", "apache-proxy.conf", "nginx.conf"]),
        ("[jobs]\nmax_upload = '9 GB'\n", ["apache.conf", "apache-proxy.conf", "nginx.conf"]),
        ("[server]\nport = 81\n", ["apache-proxy.conf", "nginx.conf"]),
        (
            '[server]\ntrusted_proxies = ["127.0.0.1"]\n[auth]\nuser_header = "X-Remote-User"\n',
            ["apache-proxy.conf", "nginx.conf"],
        ),
    ],
    ids=["threads", "max_wait", "max_upload", "port", "user_header"],
)
def test_files_fall_behind_when_the_configuration_changes(folder, text, files):
    configure(folder, text)
    assert [Path(one.partition(": ")[0]).name for one in said(folder)] == files
    assert all(one.endswith("or remove the file, if nothing is to use it") for one in said(folder))
    write(folder)
    assert said(folder) == []


@pytest.mark.parametrize("name", sorted({edit[0] for edit in EDITS.values()}))
def test_half_a_file_stops_nobody(folder, name):
    """A word left out, a quote or a block that does not end: all of it is somebody's typing."""
    text = (folder / name).read_text()
    for at in range(0, len(text), 31):
        (folder / name).write_text(text[:at])
        assert all(str(folder / name) in one for one in said(folder))
        (folder / name).write_text(text[:at] + text[at:].partition("\n")[2])
        assert all(str(folder / name) in one for one in said(folder))


def test_jobs_of_a_cluster_do_not_need_the_kill_mode(folder):
    edit(folder, "deploy/opus-serve.service", "^KillMode=.*$", "")
    configure(folder, '[manager]\nuse = "slurm"\n')
    assert said(folder) == []


# -- what is in use


@pytest.fixture
def etc(tmp_path):
    for name in ("apache2/conf-enabled", "nginx/sites-enabled", "systemd/system"):
        (tmp_path / "etc" / name).mkdir(parents=True)
    return tmp_path / "etc"


def test_once_some_are_in_use_the_others_do_not_count(folder, etc):
    configure(
        folder, 'base_url = "https://a.example/opus"\n[server]\ntrusted_proxies = ["127.0.0.1"]\n'
    )
    edit(folder, "apache.conf", "threads=64", "threads=5")
    assert len(said(folder, etc)) == 1
    (etc / "nginx/sites-enabled/opus").write_text((folder / "deploy/nginx.conf").read_text())
    assert said(folder, etc) == []
    edit(etc, "nginx/sites-enabled/opus", "client_max_body_size .*;", "client_max_body_size 1m;")
    [found] = said(folder, etc)
    assert found.startswith(f"{etc / 'nginx/sites-enabled/opus'}: client_max_body_size is 1048576")


def test_what_is_included_counts_instead_of_what_includes_it(folder, etc):
    site = etc / "apache2/conf-enabled/site.conf"
    site.write_text(f"Include {folder}/apache.conf\n")
    edit(folder, "apache.conf", "threads=64", "threads=5")
    [found] = said(folder, etc)
    assert found.startswith(f"{folder / 'apache.conf'}: ")
    site.write_text(f"# Include {folder}/apache.conf\n")
    edit(folder, "deploy/nginx.conf", "8080", "8088")
    assert len(said(folder, etc)) == 2, "a comment includes nothing"


def test_what_stands_beside_ours_in_a_file_is_not_ours(folder, etc):
    head = 'base_url = "https://a.example/opus"\n[server]\ntrusted_proxies = ["127.0.0.1"]\n'
    configure(folder, head)
    other = "location /x/ { proxy_pass http://127.0.0.1:81; client_max_body_size 1m; }\n"
    ours = (folder / "deploy/nginx.conf").read_text()
    (etc / "nginx/sites-enabled/all").write_text(f"server {{ {other}{ours}{other} }}")
    assert said(folder, etc) == []
    without = re.sub(r" client_max_body_size \d+;", "", ours)
    limit = "client_max_body_size 9g;"
    (etc / "nginx/sites-enabled/all").write_text(f"server {{ {without}{other}{limit} }}")
    assert said(folder, etc) == [], "what the server block says holds in its locations"
    (etc / "nginx/sites-enabled/all").write_text(f"server {{ {without}{other} }}")
    [found] = said(folder, etc)
    assert "client_max_body_size is absent" in found
    other = "<Location /x>\nProxyPass http://127.0.0.1:81 timeout=1\n</Location>\n"
    ours = (folder / "deploy/apache-proxy.conf").read_text()
    (etc / "nginx/sites-enabled/all").write_text(f"{other}{ours}{other}")
    assert said(folder, etc) == []


def test_files_of_others_are_not_looked_at(folder, etc):
    (etc / "systemd/system/other.service").write_text("[Service]\nExecStart=/bin/gone\n")
    (etc / "nginx/sites-enabled/other").write_text("location / { proxy_pass http://a:1; }")
    neighbour = "location / { proxy_pass http://127.0.0.1:80801; }"
    (etc / "nginx/sites-enabled/neighbour").write_text(neighbour)
    (etc / "nginx/sites-enabled/odd").write_bytes(b"\xff")
    (etc / "nginx/sites-enabled/gone").symlink_to("nowhere")
    assert said(folder, etc) == []


def test_an_embedded_supervisor_beside_apache(folder, etc):
    (etc / "apache2/conf-enabled/opus.conf").write_text((folder / "apache.conf").read_text())
    assert said(folder, etc) == []
    configure(folder, "[supervisor]\nembedded = true\n")
    [found] = said(folder, etc)
    assert "opus.conf is in use, and [supervisor] embedded is true" in found


def test_a_proxy_that_nothing_in_the_configuration_knows_of(folder, etc):
    (etc / "nginx/sites-enabled/opus").write_text((folder / "deploy/nginx.conf").read_text())
    [found] = said(folder, etc)
    assert "trusted_proxies is empty" in found
    assert "base_url is absent, too" in found
    configure(folder, '[server]\ntrusted_proxies = ["127.0.0.1"]\n')
    [found] = said(folder, etc)
    assert "base_url is absent" in found
    configure(folder, 'base_url = "https://a.example/opus"\n')
    [found] = said(folder, etc)
    assert found.endswith(
        'all users have the proxy\'s address; set trusted_proxies = ["127.0.0.1"]'
    )


def test_a_header_that_clients_could_send(folder):
    configure(folder, '[server]\ntrusted_proxies = ["127.0.0.1"]\n')
    edit(folder, "deploy/nginx.conf", "^ +proxy_set_header X-Forwarded-Port .*$", "")
    [found] = said(folder)
    assert "X-Forwarded-Port of clients would be believed" in found


def test_a_user_who_may_not_read_the_folder(folder):
    if os.getuid() != 0:
        pytest.skip("only root is another user than the one of the unit")
    folder.chmod(0o700)
    found = list(faults(load(folder / "opus.toml"), folder / "no etc"))
    assert found
    assert all("the user nobody may not read" in one for one in found)


def test_a_folder_that_apache_may_not_pass_through(folder, etc):
    """It answers 403 for all then, before the daemon has a say."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.getuid() and one != Path("/tmp"):
            one.chmod(0o771)
    enabled = etc / "apache2/conf-enabled/opus.conf"
    enabled.write_text((folder / "apache.conf").read_text())
    config = load(folder / "opus.toml")
    assert not [one for one in faults(config, etc) if "403" in one]
    folder.chmod(0o2770)
    [found] = [one for one in faults(config, etc) if "403" in one]
    assert found.startswith(f"{enabled} is in use, and Apache's own user")
    assert f"may not come to {folder / 'wsgi.py'}" in found
    assert found.endswith(f"chmod o+x {folder}")
    enabled.unlink()
    assert not [one for one in faults(config, etc) if "403" in one], "nothing is to use it"


def test_a_user_without_a_home_needs_one_to_be_named(folder):
    homeless = [one for one in pwd.getpwall() if not os.path.isdir(one.pw_dir)]
    if not homeless:
        pytest.skip("every user of this machine has a home folder")
    edit(folder, "apache.conf", "user=[^ ]+", f"user={homeless[0].pw_name}")
    named = list(faults(load(folder / "opus.toml"), folder / "no etc"))
    assert not [one for one in named if "has no home" in one]
    edit(folder, "apache.conf", ' home="[^"]*"', "")
    found = list(faults(load(folder / "opus.toml"), folder / "no etc"))
    assert [one for one in found if "WSGIDaemonProcess has no home, and " in one]


def test_without_a_configuration_there_is_nothing_to_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(faults(load(environ={}), tmp_path)) == []


# -- files that somebody else has made something of


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [*BESIDE, *DEPLOY])
def test_a_pipe_in_the_place_of_a_file_holds_up_nobody(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    said(folder)


@pytest.mark.timeout(20)
def test_nor_does_one_that_is_enabled_or_a_file_without_an_end(folder, etc):
    os.mkfifo(etc / "nginx/sites-enabled/opus")
    (etc / "nginx/sites-enabled/zero").symlink_to("/dev/zero")
    (etc / "systemd/system/large.service").write_text(f"[Service]\n{folder / 'opus.toml'}\n")
    os.truncate(etc / "systemd/system/large.service", 2**40)
    assert said(folder, etc) == []


def test_what_is_enabled_may_be_a_link_and_what_lies_in_the_folder_may_not(folder, etc, tmp_path):
    """Root follows no link of whoever owns the folder."""
    outside = tmp_path / "outside.conf"
    (folder / "deploy/nginx.conf").rename(outside)
    edit(tmp_path, "outside.conf", "8080", "8088")
    (folder / "deploy/nginx.conf").symlink_to(outside)
    assert said(folder) == []
    (etc / "nginx/sites-enabled/opus").symlink_to(outside)
    (folder / "opus.toml").write_text((folder / "opus.toml").read_text() + "[server]\nport=8088\n")
    assert any("trusted_proxies is empty" in one for one in said(folder, etc))


# -- paths that mean something elsewhere


def test_odd_paths_come_through(tmp_path):
    folder = tmp_path / 'o\'us 100% $HOME "x"'
    folder.mkdir()
    (folder / "opus.toml").touch()
    write(folder)
    unit = parts.unit((folder / "deploy/opus-serve.service").read_text())
    assert parts.command(unit["ExecStart"])[2] == str(folder / "opus.toml")
    assert "$$HOME" in unit["ExecStart"]
    assert "100%%" in unit["ExecStart"]
    [named] = parts.program((folder / "wsgi.py").read_text())
    assert named == str(folder / "opus.toml")
    [apache, *_] = parts.apache((folder / "apache.conf").read_text())
    assert ("wsgiscriptalias", ("/opus", str(folder / "wsgi.py"))) in apache.own


def test_a_site_at_the_root_of_its_host(folder):
    configure(folder, 'base_url = "https://a.example"\n')
    write(folder)
    assert said(folder) == []
    assert "location / {" in (folder / "deploy/nginx.conf").read_text()
    assert f'WSGIScriptAlias / "{folder}/wsgi.py"' in (folder / "apache.conf").read_text()
    assert '<Location "/">' in (folder / "deploy/apache-proxy.conf").read_text()


@pytest.mark.parametrize(
    ("text", "value"),
    [("60", 60), ("2m", 120), ("1h30m", 5400), ("500ms", 0.5), ("x", None), ("", None)],
)
def test_times(text, value):
    assert parts.seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("10k", 10240), ("1M", 2**20), ("2g", 2**31), ("1 m", None)]
)
def test_sizes(text, value):
    assert parts.size(text) == value
