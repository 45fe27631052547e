"""Bare bottle on the server that `opus serve` embeds: what the figures are compared with."""

from __future__ import annotations

import sys

import bottle
import waitress

application = bottle.Bottle()


def hello() -> str:
    """As little as an answer can be."""
    return "hello"


application.route("/", callback=hello)

if __name__ == "__main__":
    waitress.serve(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        threads=64,
        connection_limit=1000,
        asyncore_use_poll=True,
        ident="hello",
    )
