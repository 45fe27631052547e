"""Run thousands of jobs on a private SLURM while everything is killed; exit 1 if one is lost.

    slurm.py [--jobs 3000] [--seed WORD] [--keep]

The same as tests/slurm/test_chaos.py, for longer. The seed repeats what is asked and done to whom,
though not when the machine gets to it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import Site
from services.slurm import Cluster, missing
from slurm_ordeal import CLUSTER, ordeal


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run jobs on SLURM while everything is killed.")
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--keep", action="store_true", help="leave the folder behind")
    args = parser.parse_args(arguments)
    if lacking := missing():
        print(f"slurm: skipped, since this machine lacks {', '.join(lacking)}")
        return int(os.environ.get("CI") == "true")
    # Where everybody may enter, as accounts of the cluster have to.
    folder = Path(tempfile.mkdtemp(prefix="opus-soak-slurm-", dir="/tmp"))
    folder.chmod(0o755)
    print(f"slurm: seed {args.seed}, {args.jobs} jobs, in {folder}", flush=True)
    Site.afresh = True
    with Cluster(folder, **CLUSTER) as cluster:
        verdict = ordeal(cluster, args.jobs, args.seed, most=600 + 2 * args.jobs)
    print(f"slurm: {len(verdict.faults)} faults")
    for note in verdict.notes:
        print(f"  {note}")
    for fault in verdict.faults:
        print(f"  FAULT {fault}")
    if verdict.faults or args.keep:
        print(f"logs, databases and folders are in {folder}")
    else:
        shutil.rmtree(folder)
    return int(bool(verdict.faults))


if __name__ == "__main__":
    sys.exit(main())
