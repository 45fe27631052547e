"""How OPUS is run for good: under Apache, behind Apache or nginx, by systemd.

files      what `opus init` writes for that      templates/  their texts
parts      what such files say                   rules       what they have to say
faults     what is wrong with those in use, for `opus check`
"""

from __future__ import annotations

from opus_core.deployment.faults import faults
from opus_core.deployment.files import Deployment

__all__ = ["Deployment", "faults"]
