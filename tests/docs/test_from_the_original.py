"""What became of the settings of the original: all are listed, with what they are called here."""

from __future__ import annotations

import dataclasses
import re
import shutil

import pytest

from docs.blocks import CHECKOUT, DOCS
from docs.test_configuration import GENERATE
from opus_core.config import Config
from printed import marked, run
from servers import site

PAGE = DOCS / "admin" / "from-the-original.md"
ROWS = [
    (re.findall(r"`(\w+)`", there), here)
    for there, here in re.findall(
        r"^\| (.*?) \| (.*?) \| .*\|$",
        PAGE.read_text().partition("## Its settings")[2],
        re.MULTILINE,
    )
    if there not in ("there", "---")
]
NAMES = [name for names, _ in ROWS for name in names]

# Those that the issue of this page names, and the fields of its last version.
ASKED = """
    DEBUG APP_PATH BASE_URL MERGE_CLIENT LOG_FILE JOB_SERVERS STORAGE MANAGER VAR_PATH
    UWS_CLIENT_ENDPOINT UWS_SERVER_ENDPOINT SCIM_ENDPOINT WSGI_THREADS MAIL_SERVER MAIL_PORT
    SENDER_EMAIL ADMIN_NAME ADMIN_EMAIL ADMIN_TOKEN OIDC_IDPS TOKEN_GEN LOG_FILE_SUFFIX BASE_IP
    LOCAL_USER JOB_EVENT_TOKEN MAINTENANCE_TOKEN ALLOW_ANONYMOUS CHECK_PERMISSIONS CHECK_OWNER
    APP_TOKENS TRUSTED_CLIENTS NJOBS_MAX DESTRUCTION_INTERVAL EXECUTION_DURATION_DEF
    EXECUTION_DURATION_MAX WAIT_TIME_MAX MEMFILE_MAX USE_ARCHIVED_PHASE GENERATE_PROV
    COPY_RESULTS SHA_ALGO JOB_ID_LENGTH JOB_ID_GEN ENTITY_ID_GEN ARCHIVE ARCHIVE_PATH
    ARCHIVE_URL JDL STORAGE_TYPE SQLITE_FILE_NAME PGSQL_HOST PGSQL_PORT PGSQL_DATABASE
    PGSQL_USER PGSQL_PASSWORD LOCAL_WORKDIR_PATH BATCH_SHELL SLURM_URL SLURM_USER
    SLURM_MAIL_USER SLURM_SCRIPTS_PATH SLURM_JOBDATA_PATH SLURM_UPLOADS_PATH SLURM_WORKDIR_PATH
    SLURM_RESULTS_PATH SLURM_SBATCH_DEFAULT LOG_PATH JDL_PATH SCRIPTS_PATH JOBDATA_PATH
    RESULTS_PATH UPLOADS_PATH TEMP_PATH SQLITE_FILE SQLALCHEMY_DB UWS_SERVER_URL UWS_AUTH
    CLIENT_TITLE HOME_CONTENT TESTUSER_NAME ADMIN_DEFAULT_PW TESTUSER_DEFAULT_PW SECRET_KEY
    SECURITY_PASSWORD_SALT SECURITY_URL_PREFIX SECURITY_REGISTERABLE MAIL_USE_SSL MAIL_USE_TLS
    UWS_SERVER_URL_JS CONFIG_FILE SQLALCHEMY_DATABASE_URI SECURITY_POST_LOGIN_VIEW
    SECURITY_POST_LOGOUT_VIEW SECURITY_EMAIL_SENDER
"""


def test_every_setting_is_listed_once():
    assert set(ASKED.split()) - set(NAMES) == set()
    assert sorted(NAMES) == sorted(set(NAMES))


def keys() -> set[str]:
    """`[table] key`, `[storage: sqlite] path` and, above all tables, `key`."""
    found = {field.name for field in dataclasses.fields(Config) if "help" in field.metadata}
    for table, rows in GENERATE.tables().items():
        found |= {f"[{table}] {re.match(r'[|] `(.+?)`', row)[1]}" for row in rows}
    return found | {f"[{table}]" for table in GENERATE.tables()}


@pytest.mark.parametrize(("names", "here"), ROWS, ids=[names[0] for names, _ in ROWS])
def test_what_it_is_called_here_is_there(names, here):
    if here != "-":
        assert here.strip("`") in keys()


def test_its_descriptions_are_imported_as_printed(tmp_path):
    (tmp_path / "jdl" / "votable").mkdir(parents=True)
    (tmp_path / "jdl" / "scripts").mkdir()
    example = CHECKOUT / "tests" / "jdl_votable" / "data" / "echo_vot.xml"
    shutil.copy(example, tmp_path / "jdl" / "votable")
    (tmp_path / "jdl" / "scripts" / "echo.sh").write_text("echo hello\n")
    with site(tmp_path / "site") as one:
        places = {"/srv/opus/opus.toml": one.config}
        run(marked(PAGE)["import"].text, places, cwd=tmp_path)
        assert "echo" in one.opus("jdl", "list").stdout
