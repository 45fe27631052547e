"""`opus jdl`: job descriptions from and to files, and which of them are published."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from opus_core.backends import Bundle
from opus_core.definition import JobDefinition
from opus_core.definitions import Catalogue
from opus_core.errors import BadRequest, CannotCarry, NotFound, OpusError
from opus_core.job import DefinitionRef


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to `opus`."""
    parser = subparsers.add_parser("jdl", help="import, publish, list and export job descriptions")
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = verbs.add_parser("list", help="what is published, and drafts")
    verb.add_argument("--json", action="store_true", help="write JSON, for a script to read")

    verb = verbs.add_parser("import", help="read a description into a draft, or publish it")
    verb.add_argument("file", type=Path, metavar="FILE", help="in any installed format")
    verb.add_argument("--script", type=Path, metavar="FILE", help="what the jobs run")
    verb.add_argument("--name", help="instead of the name in it, or of the file's")
    verb.add_argument("--publish", action="store_true", help="at once, without a draft")

    verb = verbs.add_parser("publish", help="make a draft what new jobs are made from")
    verb.add_argument("name", metavar="NAME", help="of the draft, or one that was withdrawn")
    verb.add_argument("--author", help="whose draft; by default yours, or the only one")

    verb = verbs.add_parser("withdraw", help="take no new jobs of a name; publish undoes it")
    verb.add_argument("name", metavar="NAME", help="one that is published")

    verb = verbs.add_parser("access", help="show or say who may run a description")
    verb.add_argument("name", metavar="NAME", help="one that is or was published")
    verb.add_argument(
        "--allow",
        action="append",
        metavar="WHO",
        help="`anyone`, `role ROLE` or `user NAME`, in place of those there are; several times for"
        " several; an empty one for nobody but admins",
    )

    verb = verbs.add_parser(
        "convert", help="write a description in another format; nothing of the site is touched"
    )
    verb.add_argument("file", type=Path, metavar="FILE", help="in any installed format")
    verb.add_argument("--to", required=True, metavar="FORMAT", help="an installed one")
    verb.add_argument("--script", type=Path, metavar="FILE", help="what lies beside it")
    verb.add_argument(
        "--lossy", action="store_true", help="leave out what the format has no words for"
    )
    verb.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="by default, the document is printed"
    )

    verb = verbs.add_parser("export", help="write a published description to a file")
    verb.add_argument("name", metavar="NAME", help="or NAME@NUMBER, for an earlier version")
    verb.add_argument("--format", metavar="FORMAT", help="by default the one it is kept in")
    verb.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="by default, the document is printed"
    )


def run(args: argparse.Namespace) -> int:
    """Do what the verb says; answers the exit code."""
    # Deferred: everything the server is made of hangs on this module.
    from opus_core.app import installed_formats, open_catalogue
    from opus_core.commands.configuration import configuration

    config = configuration(args.config)
    if args.verb == "convert":  # which needs no site
        with tempfile.TemporaryDirectory() as folder:
            return act(args, installed_formats(config, Path(folder)))
    return act(args, open_catalogue(config))


def act(args: argparse.Namespace, catalogue: Catalogue) -> int:
    """The same on a catalogue that is open."""
    match args.verb:
        case "list":
            _list(catalogue, as_json=args.json)
        case "import":
            _import(catalogue, args)
        case "publish":
            _publish_draft(catalogue, args.name, args.author)
        case "withdraw":
            catalogue.withdraw(args.name)
            print(f"{args.name} takes no new jobs; to undo it: opus jdl publish {args.name}")
        case "access":
            _access(catalogue, args.name, args.allow)
        case "export":
            _export(catalogue, args)
        case "convert":
            _convert(catalogue, args)
    return 0


def _access(catalogue: Catalogue, name: str, allowed: list[str] | None) -> None:
    catalogue.versions(name)  # or it says that there is none
    lists = catalogue.access
    access = lists.of(name) if allowed is None else lists.set(name, filter(None, allowed))
    print("\n".join(access.entries) or "nobody but admins")


def _list(catalogue: Catalogue, *, as_json: bool) -> None:
    states, drafts = catalogue.states(), catalogue.drafts()
    if as_json:
        document = {
            "published": [
                {"name": one.name, "number": one.number, "withdrawn": one.withdrawn}
                for one in states
            ],
            "drafts": [
                {"name": one.name, "author": one.author, "time": one.time.isoformat()}
                for one in drafts
            ],
        }
        json.dump(document, sys.stdout, indent=2)
        print()
        return
    for state in states:
        print(f"{state.name}  version {state.number}{', withdrawn' * state.withdrawn}")
    for draft in drafts:
        print(f"{draft.name}  draft of {draft.author}, {draft.time:%Y-%m-%d %H:%M} UTC")
    if not states and not drafts:
        print("there are no job descriptions; read one with: opus jdl import FILE --script FILE")


def _import(catalogue: Catalogue, args: argparse.Namespace) -> None:
    definition = _loaded(catalogue, args, name=args.name)
    if args.publish:
        _publish(catalogue, definition)
        return
    catalogue.save_draft(definition, _me())
    print(f"draft of {definition.name} saved; next: opus jdl publish {definition.name}")


def _loaded(
    catalogue: Catalogue, args: argparse.Namespace, *, name: str | None = None
) -> JobDefinition:
    """The description in the files that are named; if it says no name, of that of its file."""
    files = {"script": _read(args.script)} if args.script else {}
    definition = catalogue.load(_read(args.file), files, name=name)
    if not definition.name:
        definition = replace(definition, name=args.file.name.partition(".")[0])
    return definition


def _publish(catalogue: Catalogue, definition: JobDefinition) -> None:
    ref = catalogue.publish(definition, _me())
    print(f"{ref.name} is published as version {ref.number}")


def _publish_draft(catalogue: Catalogue, name: str, author: str | None) -> None:
    authors = [draft.author for draft in catalogue.drafts() if draft.name == name]
    me = _me()
    if author is None:
        if not authors:
            _republish(catalogue, name)
            return
        if me not in authors and len(authors) > 1:
            raise BadRequest(f"several have a draft of {name}: choose with --author {authors}")
        author = me if me in authors else authors[0]
    _publish(catalogue, catalogue.read_draft(name, author))
    catalogue.discard_draft(name, author)


def _republish(catalogue: Catalogue, name: str) -> None:
    """Without a draft it can only mean to take back a withdrawal."""
    if not catalogue.is_withdrawn(name):
        raise NotFound(f"there is no draft of {name}; read one with: opus jdl import FILE")
    _publish(catalogue, catalogue.read(catalogue.versions(name)[-1].ref))


def _convert(catalogue: Catalogue, args: argparse.Namespace) -> None:
    definition = _loaded(catalogue, args)
    wanted = catalogue.format(args.to)
    try:
        bundle = wanted.dumps(definition)
    except CannotCarry as error:
        if not args.lossy:
            raise BadRequest(f"{error.sentence}; --lossy leaves that out") from error
        print(f"left out: {', '.join(error.fields)}", file=sys.stderr)
        bundle = wanted.dumps(definition, lossy=True)
    _put(bundle, args.output)


def _export(catalogue: Catalogue, args: argparse.Namespace) -> None:
    name, at, number = args.name.partition("@")
    versions = {one.ref.number: one for one in catalogue.versions(name)}
    if at and (not number.isdecimal() or int(number) not in versions):
        raise NotFound(f"{name} has no version {number!r}; it has {', '.join(map(str, versions))}")
    ref = DefinitionRef(name, int(number) if at else max(versions))
    wanted = catalogue.format(args.format) if args.format else None
    _put(catalogue.export(ref, wanted), args.output)


def _put(bundle: Bundle, output: Path | None) -> None:
    """Into files, or the document to standard output."""
    if output is None:
        sys.stdout.write(bundle.data.decode())
        for file in bundle.files:
            print(f"its {file} is a file of its own; write both with -o FILE", file=sys.stderr)
        return
    outputs = {output: bundle.data}
    for file, data in bundle.files.items():
        outputs[output.with_name(f"{output.name}.{file}")] = data
    for path, data in outputs.items():
        _write(path, data)
        print(path)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return str(os.getuid())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OpusError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OpusError(f"{path} cannot be written: {error.strerror}") from error
