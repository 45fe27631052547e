"""What the original OPUS reached: on a machine of the same kind, but not at the same time, so these
are numbers to set beside ours, and no measurement of ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reached:
    """One figure of the original, and which of ours stands beside it."""

    what: str
    there: str
    figure: str
    unlike: str = ""  # what of the two was not the same
    of_all: bool = False  # of as many jobs as only a whole run of ours has


CONDITIONS = """\
The original was measured on two shared cores, with Python 3.11, on another day and while that
machine had other work to do (load 2 to 5), so its rates may be too low by a factor of two. Where a
range stands, its ends are the lowest and the highest of its development server, of gunicorn with
five threads and of Apache's mod_wsgi with five, all of them single runs; it kept its jobs in
SQLite, as OPUS does here. A factor of two between two columns says nothing, then; a factor of ten
does.
"""

ORIGINAL = (
    Reached("jobs created, 8 at once", "14 to 19 /s", "creation, durable"),
    Reached("jobs read", "11 to 20 /s", "GET job", "16 at once there, 8 here"),
    Reached("jobs read, slowest of 100", "1.1 to 8.8 s", "GET job p99", "16 at once there, 8 here"),
    Reached("phases read", "18 to 24 /s", "GET phase", "16 at once there, 8 here"),
    Reached(
        "jobs from creation to COMPLETED, 8 in flight",
        "0.7 to 2.1 /s",
        "trivial jobs, 8 in flight",
        "each has scripts of its own; there each end also drew a picture of the job's provenance,"
        " and 3 of 144 jobs stayed QUEUED",
    ),
    Reached("list of 100,000 jobs", "3.5 s", "whole list", "there gunicorn alone", True),
    Reached(
        "memory that the list takes",
        "280 MB",
        "whole list, memory",
        "there gunicorn alone",
        True,
    ),
    Reached(
        "clients that WAIT and are told the change",
        "4 of 4, 0 of 5, 0 of 1,000",
        "1,000 told rightly",
        "of 1,000 here, with threads for as many; there five threads, as it is set up",
    ),
    Reached(
        "phases read meanwhile, slowest of 100",
        "no answer beside 50 or more",
        "500 clients wait, GET phase p99",
        "500 wait here",
    ),
    Reached(
        "from the change to who waits",
        "129 ms, middle of 4",
        "wake-up p99",
        "the slowest of 100 here, of 1,000",
    ),
    Reached("download", "218 to 558 MB/s", "download", "64 MiB there"),
    Reached("upload", "74 to 121 MB/s", "upload", "64 MB there"),
    Reached("idle server (PSS)", "53 to 73 MB", "idle server (PSS)"),
)
