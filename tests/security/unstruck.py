"""`opus`, with a log that strikes out nothing: what secrets it is handed, it has."""

from __future__ import annotations

import sys

from opus_core import cli, lines

lines._cleaned = lambda sentence, facts, trace: (sentence, facts, trace)

if __name__ == "__main__":
    sys.exit(cli.main())
