from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from core import wsgi
from core.wsgi import CHROME
from json_jdl import NewJdl


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def test_the_front_page_leads_to_every_form(client):
    page = client.get("/", accept=CHROME).text
    for name in ("echo", "fit"):
        assert f'href="/new/{name}"' in page
        assert client.get(f"/new/{name}").status == 200
        assert f'href="/rest/{name}"' in page


def test_a_script_can_read_the_catalogue(client):
    said = client.get("/").json["definitions"]
    assert [one["name"] for one in said] == ["echo", "fit"]
    assert said[1]["jobs"] == "http://opus.test/rest/fit"


def test_a_withdrawn_description_is_not_offered(site, client):
    site.parts.catalogue.withdraw("echo")
    assert "/new/echo" not in client.get("/", accept=CHROME).text
    assert client.get("/new/echo").status == 403


def test_an_empty_catalogue_says_what_to_do(site, client):
    for name in ("echo", "fit"):
        site.parts.catalogue.withdraw(name)
    assert "opus jdl import" in client.get("/", accept=CHROME).text


def test_the_description_comes_in_the_format_of_the_site(site, client):
    answer = client.get("/jdl/fit")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (
        answer.body == site.parts.catalogue.export(site.parts.catalogue.published("fit").ref).data
    )


@pytest.mark.parametrize("url", ["/jdl/fit.json", "/jdl/fit?RESPONSEFORMAT=json"])
def test_or_in_json_without_its_script(client, url):
    said = client.get(url).json
    assert (said["name"], said["number"]) == ("fit", 1)
    assert said["parameters"][0]["unit"] == "deg"
    assert "script" not in said
    assert client.get("/jdl/fit", accept="application/json").json == said


def test_a_description_the_format_has_no_words_for_is_shown_as_far_as_it_goes(site):
    site.parts.catalogue.publish(replace(wsgi.ECHO, contact_name="Ann"), "test")

    class Lossy(NewJdl):
        def dumps(self, definition, *, lossy=False):
            return super().dumps(replace(definition, contact_name="") if lossy else definition)

    answer = site.client(changes={"jdl": Lossy(None)}).get("/jdl/echo")
    assert answer.status == 200
    assert json.loads(answer.body.removeprefix(b"new"))["name"] == "echo"


@pytest.mark.parametrize("url", ["/jdl/nope", "/jdl/nope.json", "/jdl/..", "/new/nope", "/new/a b"])
def test_an_unknown_description_is_404(client, url):
    assert client.get(url.replace(" ", "%20")).status == 404


def test_a_form_can_be_filled_in_by_its_address(client):
    page = client.get("/new/fit?ORDER=7&title=%3Cb%3E&RUNID=mine").text
    assert 'name="order" aria-describedby="in-order-help in-order-fault" value="7"' in page
    assert 'value="&lt;b&gt;"' in page
    assert 'name="RUNID" maxlength="64" value="mine"' in page


def test_a_job_can_be_made_again_with_its_values(client):
    job = client.create(order="8", note="as before", EXECUTIONDURATION="99")
    again = f"/new/fit/{job.rpartition('/')[2]}"
    assert f'href="{again}"' in client.get(job, accept=CHROME).text
    page = client.get(again).text
    for value in ("8", "as before", "99"):
        assert f'value="{value}"' in page


def test_a_field_is_made_for_every_input(client):
    page = client.get("/new/fit").text
    assert re.search(r'<input type="number"[^>]* name="order"[^>]*step="1" min="1" max="9"', page)
    assert re.search(r'<select[^>]* name="weight"', page)
    assert '<option value="error">error: 1/error</option>' in page
    assert '<option value="true" selected>true</option>' in page  # yes, in the description
    assert page.count('name="skip"') == 2
    assert re.search(r'<input type="file"[^>]* name="table"', page)
    assert 'method="post" action="/rest/fit" enctype="multipart/form-data"' in page
    assert '<button class="primary" name="PHASE" value="RUN">' in page


def test_what_is_wrong_stands_at_each_field(client):
    answer = client.post("/rest/fit", form={"order": "x", "weight": "heavy"}, accept=CHROME)
    assert answer.status == 400
    for name in ("order", "weight"):
        said = re.search(rf'<p class="wrong" id="in-{name}-fault"[^>]*>([^<]*)</p>', answer.text)[1]
        assert said.startswith(name)
        assert f'<li><a href="#in-{name}">{said}</a></li>' in answer.text
        control = re.search(rf'<(?:input|select) [^>]*id="in-{name}"[^>]*>', answer.text)[0]
        assert 'aria-invalid="true"' in control
    assert answer.text.count('aria-invalid="true"') == 2


def test_programs_are_told_what_is_wrong_with_each_input(client):
    form = {"order": "x", "weight": "heavy", "title": "fine"}
    said = client.post("/rest/fit", form=form, accept="application/json").json
    assert said["error"].startswith("order: 'x' is not")
    assert said["error"].endswith("; also wrong: weight")
    assert set(said["faults"]) == {"order", "weight"}
    assert said["faults"]["weight"].startswith("weight cannot be 'heavy'")
    one = client.post("/rest/fit", form={"order": "x"})
    assert "also wrong" not in one.text


def test_every_field_has_a_label_and_every_id_is_the_only_one(client):
    page = client.get("/new/fit").text
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    labels = set(re.findall(r'<label for="([^"]+)"', page))
    for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", page):
        identity = re.search(r' id="([^"]+)"', tag)
        assert "aria-label=" in tag or identity[1] in labels
    for described in re.findall(r'aria-describedby="([^"]+)"', page):
        assert set(described.split()) <= set(ids)
