"""`opus check` looks at the files for Apache, nginx and systemd."""

from __future__ import annotations

import pytest

from core.helpers.checked import Checked, checked


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        yield one


def test_a_file_that_does_not_fit_is_told(site: Checked) -> None:
    site.begin()
    assert "deployment-file" not in site.wrong()
    program = site.folder / "wsgi.py"
    program.write_text(
        "from opus_core.wsgi import make_application\n\n"
        "application = make_application('/elsewhere/opus.toml')\n"
    )
    finding = site.one("deployment-file")
    assert finding.subject == "deployment"
    assert finding.sentence.startswith(f"{program}: ")
    assert "/elsewhere/opus.toml" in finding.sentence
