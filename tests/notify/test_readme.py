"""What the README prints does what it says."""

from __future__ import annotations

import json
import time
import types

import pytest

from docs.blocks import CHECKOUT, blocks
from notify.helpers.making import SECRET, a_change, opened, secret_file

PAGE = CHECKOUT / "plugins" / "opus_notify" / "README.md"


@pytest.fixture
def verify():
    [block] = [block for block in blocks(PAGE) if block.file == "verify.py"]
    module = types.ModuleType("verify")
    exec(block.text, vars(module))  # noqa: S102 - it is ours
    return module.is_from_opus


@pytest.fixture
def post(tmp_path, storage, hook):
    other = "whsec_" + "QUJD" * 10
    path = secret_file(tmp_path, f"{other}\n{SECRET}")
    found = opened(tmp_path, storage, webhooks=[hook.at()], webhook_secret_file=path)
    [observe] = found.opus_observers().values()
    observe(a_change())
    return hook.posts[0]


def test_it_takes_what_was_signed_with_the_key(verify, post):
    assert verify(SECRET, post.headers, post.body)
    assert verify("whsec_" + "QUJD" * 10, post.headers, post.body)


def test_it_takes_nothing_else(verify, post):
    assert not verify("whsec_" + "QUJE" * 10, post.headers, post.body)
    assert not verify(SECRET, post.headers, post.body + b" ")
    assert not verify(SECRET, {**post.headers, "webhook-id": "another"}, post.body)
    later = str(int(time.time()) + 1)
    assert not verify(SECRET, {**post.headers, "webhook-timestamp": later}, post.body)
    assert not verify(SECRET, {**post.headers, "webhook-signature": "v1,é"}, post.body)


def test_it_takes_nothing_old(verify, post, monkeypatch):
    soon = time.time() + 600
    monkeypatch.setattr(time, "time", lambda: soon)
    assert not verify(SECRET, post.headers, post.body)


def test_what_is_posted_has_the_keys_of_the_example(post):
    [block] = [block for block in blocks(PAGE) if block.language == "json"]
    shown, posted = json.loads(block.text), json.loads(post.body)
    assert list(shown) == list(posted)
    assert list(shown["data"]) == list(posted["data"])
