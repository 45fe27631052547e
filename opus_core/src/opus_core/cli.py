"""The `opus` command: each subcommand is a module of `opus_core.commands`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import opus_core
from opus_core import commands
from opus_core.errors import OpusError


def build_parser(names: Sequence[str] = commands.NAMES) -> argparse.ArgumentParser:
    """All that may be typed after `opus`, or of some commands only; docs/commands.md is made from
    it."""
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
    for name in names:
        commands.module(name).add(subparsers)
    return parser


def _named(argv: Sequence[str]) -> Sequence[str]:
    """The command that is meant, alone; all of them if the parser has to say what there are."""
    words = list(argv)
    while words and words[0].startswith("--config"):
        del words[: 2 if words[0] == "--config" else 1]
    return (words[0],) if words and words[0] in commands.NAMES else commands.NAMES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; answers its exit code. An error is one sentence and exit code 2."""
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(_named(argv)).parse_args(argv)
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
