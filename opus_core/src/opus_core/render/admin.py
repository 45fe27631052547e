"""The page from which a site is administered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opus_core.announcements import LONGEST, Announcement
from opus_core.backends import Health
from opus_core.plugins import Plugin
from opus_core.render.html import Frame, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How a site is."""

    components: Mapping[str, Health]
    plugins: Sequence[Plugin]
    announcement: Announcement | None
    longest: int = LONGEST


def overview(frame: Frame, value: Overview) -> str:
    """The page."""
    return render("admin.html", frame, overview=value)
