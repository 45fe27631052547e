"""Values that try to become commands, each with a file it would make if it did."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

from opus_core.definition import GeneratedDescription, JobDefinition, ParameterDescription

NUMBER = 200  # of the parameters of one job
NAMES = tuple(f"p{number:03}" for number in range(NUMBER))

# `{c}` is the command that must never run.
_WRAPS = (
    "$({c})",
    "`{c}`",
    "; {c}",
    "| {c}",
    "|| {c}",
    "&& {c}",
    "& {c} &",
    "\n{c}\n",
    "\r\n{c}\r\n",
    "'; {c}; '",
    '"; {c}; "',
    "'$({c})'",
    '"$({c})"',
    "\\$({c})",
    "\\\\`{c}`",
    '"\'"$({c})"\'"',
    "$'\\x24({c})'",
    "$'\\n'{c}$'\\n'",
    "${{IFS}};{c};${{IFS}}",
    "${{x:-$({c})}}",
    "${{x:=`{c}`}}",
    "${{x/#/$({c})}}",
    "$((a[$({c})]))",
    "a[$({c})]",
    "a[$({c})]=1",
    "<({c})",
    ">({c})",
    "() {{ :;}}; {c}",
    "() {{ _; }} >_[$($())] {{ {c}; }}",
    "{{{c},{c}}}",
    "~$({c})",
    "!{c}",
    "!!; {c}",
    "-exec {c} ;",
    "--wrap={c}",
    "--output=/dev/null --wrap={c}",
    "-oProxyCommand={c}",
    '#SBATCH --wrap="{c}"',
    "#!/bin/sh\n{c}",
    "EOF\n{c}\n",
    "'EOF'\n{c}\nEOF\n",
    ")\n{c}\n(",
    "}}\n{c}\n{{",
    "fi; {c}; if :; then :",
    "* $({c}) ?",
    "[$({c})]",
    "%s$({c})%n",
    "%0a{c}%0a",
    "%24%28{c}%29",
    "$(printf '\\44(%s)' '{c}')",
    "$[`{c}`]",
    "eval {c}",
    "exec {c}",
    "PATH=. {c}",
    "LD_PRELOAD=x {c}",
    "BASH_ENV=<({c}) bash",
    "\x1b]0;$({c})\x07",
    "\u202e$({c})\u202c",
    "\uff04\uff08{c}\uff09",
    "\u2028{c}\u2029",
    "\x08\x08; {c}",
    "\x7f$({c})",
    "__import__('os').system('{c}')",
    "{{{{ cycler.__init__.__globals__.os.popen('{c}').read() }}}}",
    "{{% for x in ().__class__.__base__.__subclasses__() %}}{c}{{% endfor %}}",
    "'; ATTACH DATABASE '{c}' AS x; --",
    "' OR 1=1; DROP TABLE jobs; -- {c}",
    "</uws:parameter><x>{c}</x>]]>",
    "<!DOCTYPE x [<!ENTITY y SYSTEM 'file://{c}'>]>&y;",
    '<script>fetch("{c}")</script>',
    '","script":"{c}","x":"',
    "${{jndi:ldap://127.0.0.9/{c}}}",
    "../../../../../../{c}",
    "file://{c}",
    "=cmd|'{c}'!A0",
    "@{c}",
    "-",
    "--",
    "-n",
    "",
    " ",
    "\t",
    "\n",
    "$",
    "`",
    "\\",
    "'",
    '"',
    "$PATH",
    "${{!OPUS_*}}",
    "0x10",
    "1e309",
    "٣",
    "NaN",
)
_COMMANDS = (
    "touch {f}",
    ">{f}",
    "echo x>{f}",
    "cp /dev/null {f}",
    "sh -c 'touch {f}'",
    "tee {f}",
    "touch${{IFS}}{f}",
)


class Canary:
    """A folder that stays empty unless a value was run."""

    def __init__(self, folder: Path, seed: str = "") -> None:
        self.folder = folder
        self.folder.mkdir()
        self.folder.chmod(0o1777)  # jobs of every account could write there
        self.seed = seed or secrets.token_hex(4)
        self._dice = random.Random(self.seed)

    @property
    def fired(self) -> list[str]:
        return sorted(one.name for one in self.folder.iterdir())

    def values(self, number: int) -> list[str]:
        """So many values, each another one."""
        return [self._value(one) for one in range(number)]

    def _value(self, number: int) -> str:
        dice = self._dice
        command = dice.choice(_COMMANDS).format(f=self.folder / str(number))
        text = dice.choice(_WRAPS).format(c=command)
        for _ in range(dice.choice((0, 0, 1, 2))):
            # Braces of what is wrapped are no fields of what wraps it.
            text = dice.choice(_WRAPS).replace("{{", "{").replace("}}", "}").replace("{c}", text)
        if dice.random() < 0.002:
            text += "A" * dice.choice((1000, 5000, 20_000))
        return f"{text}{dice.choice(('', '', '', ' ', chr(10), f'#{number}'))}"


def listing(values: list[str]) -> str:
    """What a job prints that got these values."""
    return "".join(f"{hashlib.sha256(one.encode()).hexdigest()}\n" for one in values)


# The values go through a shell on their way, as in scripts of sites: quoted, and no program.
_SCRIPT = """\
for name in {names}; do
  value=${{!name}}
  [[ -n $value ]] && printf '%s' "$value" >/dev/null
  args=("$value")
done
python3 - "$p000" "${{args[@]}}" <<'END'
import hashlib, json, os
with open(os.environ["OPUS_PARAMETERS"]) as file:
    told = {{one["name"]: one for one in json.load(file)["parameters"]}}
with open(os.environ["output"], "w") as file:
    for name in {listed}:
        value = os.environb[name.encode()]
        assert value.decode() == told[name]["value"], name
        print(hashlib.sha256(value).hexdigest(), file=file)
END
"""

TAKES_ALL = JobDefinition(
    name="hostile",
    parameters=(
        *(ParameterDescription(name=name, default="") for name in NAMES),
        ParameterDescription(name="output", default="hashes.txt"),
    ),
    generated=(
        GeneratedDescription(name="output", default="hashes.txt", content_type="text/plain"),
    ),
    script=_SCRIPT.format(names=" ".join(NAMES), listed=json.dumps(NAMES)),
)

# Does what no script should.
RUNS_ALL = JobDefinition(
    name="careless",
    parameters=(ParameterDescription(name="p000", default=""),),
    script='eval "$p000"\n',
)


def forms(values: list[str], number: int = NUMBER) -> Iterator[dict[str, str]]:
    """Values in the forms of jobs."""
    for begin in range(0, len(values), number):
        yield dict(zip(NAMES, values[begin : begin + number], strict=False))
