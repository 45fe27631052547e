"""Write the page of commands, from what the parser of `opus` knows: all that `--help` says.

`docs/generate.py` calls it. What argparse prints differs between versions of Python, so nothing of
that is copied: the parser is asked what it takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from opus_core.cli import build_parser

PAGE: Final = Path(__file__).parent / "commands.md"

_HEAD: Final = """\
# Commands

For whoever runs a server, or jobs from a terminal: all that may be typed after `opus`. This page
is made from the sources by `docs/generate.py`; `opus COMMAND --help` says the same. What is in
brackets may be left out.

A command ends with exit code 0 if all is well, with 1 if what it looks at is not (`check`, `run`),
and with 2 and a sentence if it was typed wrongly or cannot be done.
"""


def page() -> str:
    """The whole page. `opus run` names the server of OPUS_SERVER, which must not be set then."""
    parser = build_parser()
    before = [one for one in parser._actions if one.option_strings]
    return "\n".join([_HEAD, *_overview(parser), *_arguments(before), *_sections(parser, "##")])


def _overview(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = (f"| [`{one.prog}`](#{_anchor(one)}) | {said} |" for one, said in _below(parser))
    yield "\n".join(["| command | to |", "|---|---|", *rows]) + "\n"
    yield "Before the command, as in `opus --config FILE check`:\n"


def _sections(parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    for one, said in _below(parser):
        yield f"{level} {one.prog}\n"
        yield f"{_sentence(one.description or said)}\n"
        if not _below(one):
            yield f"```text\n{_usage(one)}\n```\n"
        yield from _arguments(one._actions)
        if one.epilog:
            yield f"{_sentence(one.epilog)}\n"
        yield from _sections(one, f"{level}#")


def _below(parser: argparse.ArgumentParser) -> list[tuple[argparse.ArgumentParser, str]]:
    """The subcommands of a parser, in order, each with what is said of it in a few words."""
    return [
        (action.choices[choice.dest], choice.help or "")
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for choice in action._choices_actions
    ]


def _arguments(actions: list[argparse.Action]) -> Iterator[str]:
    told = [one for one in actions if one.help and not isinstance(one, _NOT_TOLD)]
    if told:
        rows = (f"| `{_written(one)}` | {_meaning(one)} |" for one in told)
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows]) + "\n"


_NOT_TOLD: Final = (argparse._HelpAction, argparse._SubParsersAction)


def _usage(parser: argparse.ArgumentParser) -> str:
    """What is typed, with what must be there before what may be left out."""
    taken = [one for one in parser._actions if not isinstance(one, _NOT_TOLD)]
    taken.sort(key=lambda one: bool(one.option_strings))
    words = (_written(one, short=True) for one in taken)
    optional = (bool(one.option_strings and not one.required) for one in taken)
    pieces = (f"[{word}]" if may else word for word, may in zip(words, optional, strict=True))
    return " ".join([parser.prog, *pieces])


def _written(action: argparse.Action, *, short: bool = False) -> str:
    """An argument as it is typed."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        few = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}
        return few.get(str(action.nargs), value) if short else value
    names = action.option_strings[:1] if short else action.option_strings
    return ", ".join(names) + ("" if action.nargs == 0 else f" {value}")


def _meaning(action: argparse.Action) -> str:
    said = (action.help or "") % {"default": action.default}
    if action.choices and action.metavar:
        said += f"; one of {', '.join(f'`{one}`' for one in action.choices)}"
    return said.replace("|", "\\|")


def _sentence(said: str) -> str:
    """With a capital, unless it begins with a name, and a full stop."""
    begun = said if said.startswith("`") else said[:1].upper() + said[1:]
    return begun if begun.endswith(".") else f"{begun}."


def _anchor(parser: argparse.ArgumentParser) -> str:
    return parser.prog.replace(" ", "-")
