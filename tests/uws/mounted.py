"""Serve a configuration as a site's web server would: by WSGI, below a prefix, users signed in.

    mounted.py --config FILE --port N [--prefix /opus]

The header X-Test-User stands for what the web server has made sure of: the user's name.
"""

from __future__ import annotations

import argparse

import waitress

from opus_core.wsgi import make_application


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", default="")
    args = parser.parse_args()
    application = make_application(args.config)

    def signed_in(environ, start_response):
        user = environ.pop("HTTP_X_TEST_USER", "")
        if user:
            environ["REMOTE_USER"] = user
        return application(environ, start_response)

    waitress.serve(signed_in, host="127.0.0.1", port=args.port, url_prefix=args.prefix, threads=16)


if __name__ == "__main__":
    main()
