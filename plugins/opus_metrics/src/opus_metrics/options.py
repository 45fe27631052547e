"""What `[plugins.metrics]` may say."""

from __future__ import annotations

from dataclasses import dataclass, field

from opus_core.sections import check_networks


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOptions:
    """Who may read the numbers."""

    allow: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Addresses or networks, such as Prometheus' own, that may read the numbers"
            " without signing in; none: admins alone may."
        },
    )

    def __post_init__(self) -> None:
        check_networks("allow", self.allow)
