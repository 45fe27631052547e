"""Serve an installation as a web server does that knows who is asking: header X-User says it.

    named.py --config FILE PORT

By nothing but what every release has: `opus_core.wsgi.make_application`.
"""

from __future__ import annotations

import sys

import waitress

from opus_core.wsgi import make_application


def main() -> None:
    _, config, port = sys.argv[1:]
    application = make_application(config)

    def named(environ, start_response):
        return application(
            {**environ, "REMOTE_USER": environ.get("HTTP_X_USER", "")}, start_response
        )

    waitress.serve(named, host="127.0.0.1", port=int(port), threads=16, _quiet=True)


if __name__ == "__main__":
    main()
