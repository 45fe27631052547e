"""The `opus` command: each subcommand is a module of `opus_core.commands`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import opus_core
from opus_core.commands import MODULES
from opus_core.errors import OpusError


def build_parser() -> argparse.ArgumentParser:
    """All that may be typed after `opus`; docs/commands.md is made from it."""
    parser = argparse.ArgumentParser(
        prog="opus", description="Run programs on a cluster through the web (IVOA UWS)."
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"opus {opus_core.__version__}",
        help="print the version",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration; else OPUS_CONFIG, ./opus.toml or ./opus-data/opus.toml",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in MODULES:
        module.add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; answers its exit code. An error is one sentence and exit code 2."""
    args = build_parser().parse_args(argv)
    # Servers say where their log goes; a short command's errors are sentences of its own.
    logging.getLogger().addHandler(logging.NullHandler())
    os.umask(0o007)  # what OPUS writes is for its user and group (see `docs/` on two users)
    try:
        return int(args.run(args))
    except OpusError as error:
        print(f"opus: {error.sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has had enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # Under all that the commands say better: no admin is shown a traceback for a permission.
        about = "" if error.filename is None else f"{error.filename}: "
        print(f"opus: {about}{error.strerror or error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
