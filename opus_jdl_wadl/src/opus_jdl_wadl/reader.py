"""Read job descriptions in WADL as we, the original OPUS and people with an editor write them.

Elements are found by name and id, whatever their namespace. A `param` with `opus:kind` is one of
our own and taken to the letter. In any other:

- `type` counts without its prefix; `file` and `anyURI` make a used entity; a type that OPUS has
  no word for becomes the next wider one, else a string, and the word is kept in the extension
  `wadl:type:NAME`;
- `required` and `repeating` are true by `true`, `True`, `yes`, `1`, ...;
- an empty `default`, `min` or `max` is none at all, since the original wrote them always;
- choices are `option` children, `fixed`, the attribute `choices="A|B"`, or the same phrase in the
  text. A list in prose without that word is documentation. A lone `0` is no choice: the original
  took `choices` from the lower limit in an ftools parameter file, where 0 means there is none;
- text is freed from indentation, unless it stands under `xml:space="preserve"`.

What is said in attributes that the schema forbids (`min`, `unit`, `doculink`, `content_type`,
...) is found without a namespace, in ours, or in any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import JdlError
from opus_jdl_wadl import names
from opus_jdl_wadl.document import line, local, parse
from opus_jdl_wadl.elements import (
    attribute,
    boolean,
    children,
    content,
    doc,
    every,
    find,
    identified,
    named,
    optional,
    referred,
    text,
)
from opus_jdl_wadl.names import opus

_CHOICES: Final = re.compile(r"""\bchoices\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_SECONDS: Final = re.compile(r"([+-]?[0-9]{1,4000})(?:\.0*)?")
_NOT_OF_A_FORM: Final = frozenset({"template", "header", "matrix"})


def read(data: bytes, script: bytes = b"") -> JobDefinition:
    """The description in a document, with the script that lies beside it (UTF-8).

    Raises `JdlError` with the line for what cannot be understood.
    """
    root = parse(data)
    if local(root) != "application":
        raise JdlError(
            f"the root element is <{etree.QName(root).localname}>; a WADL has <application>",
            line=line(root),
        )
    job_list = find(root, "resource", names.JOB_LIST)
    if job_list is None:
        raise JdlError(
            f"there is no <resource id='{names.JOB_LIST}'>, whose path is the name of the job",
            line=line(root),
        )
    inputs = list(_inputs(root, _creation(root, job_list)))
    parameters = [one for one in inputs if not _is_used(one)]
    return JobDefinition(
        name=_name(job_list),
        description=_description(root),
        doculink=text(job_list, "doculink"),
        contact_name=text(job_list, "contact_name"),
        contact_email=text(job_list, "contact_email"),
        # `type` of a resource is WADL's own: a list of resource types.
        type=job_list.get(opus("type"), ""),
        subtype=text(job_list, "subtype"),
        version=text(job_list, "version"),
        parameters=tuple(_parameter(one) for one in parameters),
        used=tuple(_used(one) for one in inputs if _is_used(one)),
        generated=tuple(_generated(one) for one in _results(root)),
        script=_script(script),
        execution_duration=_execution_duration(root),
        quote=_quote(root),
        options=dict(named(job_list, "setting")),
        extensions=dict(_unknown_types(parameters)) | dict(named(job_list, "extension")),
    )


def _creation(root: etree._Element, job_list: etree._Element) -> etree._Element:
    """What describes the POST that makes a job: the original's `request`, or a `method`."""
    request = find(root, "request", names.CREATE_JOB_PARAMETERS)
    if request is not None:
        return request
    method = find(root, "method", names.CREATE_JOB)
    if method is None:
        posts = (one for one in children(job_list, "method") if one.get("name") == "POST")
        method = next(posts, None)
    if method is None:
        raise JdlError(
            f"nothing says how a job is made; describe it in <method id='{names.CREATE_JOB}'"
            " name='POST'>",
            line=line(job_list),
        )
    return next(iter(children(method, "request")), method)


def _inputs(root: etree._Element, request: etree._Element) -> Iterator[etree._Element]:
    """Every `param` that is an input of the job, references followed, each at most once."""
    params = identified(root, "param")
    seen: set[str | None] = set()
    for entry in children(request, "param"):
        param = referred(entry, params)
        if _is_input(param) and (param is entry or param.get("name") not in seen):
            seen.add(param.get("name"))
            yield param
    # By WADL's letter the fields of a form belong here, and each encoding may repeat them all.
    encodings = identified(root, "representation")
    forms = [referred(one, encodings) for one in children(request, "representation")]
    for form in dict.fromkeys(forms):
        for entry in children(form, "param"):
            param = referred(entry, params)
            if _is_input(param) and param.get("name") not in seen:
                seen.add(param.get("name"))
                yield param


def _is_input(param: etree._Element) -> bool:
    kind = param.get(opus("kind"))
    if kind is None:
        style = param.get("style", "query").strip()
        return (
            style not in _NOT_OF_A_FORM and param.get("name", "").strip() not in names.CONTROL_NAMES
        )
    if kind not in (names.PARAMETER, names.USED):
        raise JdlError(
            f"opus:kind is {kind!r}; expected {names.PARAMETER!r} or {names.USED!r}",
            line=line(param),
        )
    return True


def _control(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """The `param`s of that name which are the service's own and no input of the job."""
    named_so = (one for one in every(root, "param") if one.get("name") == name)
    return (one for one in named_so if one.get(opus("kind")) is None)


def _results(root: etree._Element) -> list[etree._Element]:
    options = (children(one, "option") for one in _control(root, names.RESULT_ID))
    return next(filter(None, options), [])


# -- what a job has


def _name(job_list: etree._Element) -> str:
    name = job_list.get(opus("name"))
    if name is not None:
        return name
    path = job_list.get("path")
    if path is None:
        raise JdlError(f"<resource id='{names.JOB_LIST}'> has no path", line=line(job_list))
    return names.clean_path(path)


def _description(root: etree._Element) -> str:
    titled = (one for one in every(root, "doc") if one.get("title") == names.DESCRIPTION)
    return next((content(one) for one in titled), "")


def _script(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # No line: it would be one of the script, not of the document.
        raise JdlError(f"the script is not UTF-8 (its byte {error.start}); convert it") from None


def _execution_duration(root: etree._Element) -> int | None:
    params = _control(root, names.EXECUTION_DURATION)
    durations = (_seconds(one, "execution duration") for one in params)
    return next((seconds for seconds in durations if seconds is not None), None)


def _quote(root: etree._Element) -> int | None:
    quote = find(root, "representation", names.QUOTE)
    return None if quote is None else _seconds(quote, "quote")


def _seconds(element: etree._Element, what: str) -> int | None:
    said = text(element, "default").strip()
    if said in ("", "None"):
        return None
    number = _SECONDS.fullmatch(said)
    if number is None:
        raise JdlError(
            f"the {what} is {said!r}; expected a whole number of seconds", line=line(element)
        )
    return int(number[1])


def _input_name(param: etree._Element) -> str:
    name = param.get("name")
    if name is None:
        raise JdlError("a <param> has no name", line=line(param))
    return name if param.get(opus("kind")) else name.strip()


def _type_word(param: etree._Element) -> str:
    return param.get("type", "string").rpartition(":")[2].strip().casefold()


def _is_used(param: etree._Element) -> bool:
    kind = param.get(opus("kind"))
    return _type_word(param) in names.FILE_TYPES if kind is None else kind == names.USED


def _type(param: etree._Element) -> ParameterType:
    word = _type_word(param)
    return names.TYPES.get(word) or names.WIDER_TYPES.get(word, ParameterType.STRING)


def _unknown_types(parameters: list[etree._Element]) -> Iterator[tuple[str, str]]:
    for param in parameters:
        if _type_word(param) not in names.TYPES:
            yield f"wadl:type:{_input_name(param)}", param.get("type", "")


def _parameter(param: etree._Element) -> ParameterDescription:
    fixed = param.get("fixed")
    return ParameterDescription(
        name=_input_name(param),
        type=_type(param),
        description=doc(param),
        default=optional(param, "default") if fixed is None else fixed,
        required=boolean(param, "required"),
        repeated=boolean(param, "repeating"),
        options=_options(param) if fixed is None else (Option(value=fixed),),
        minimum=optional(param, "min"),
        maximum=optional(param, "max"),
        unit=text(param, "unit"),
        ucd=text(param, "ucd"),
        utype=text(param, "utype"),
    )


def _options(param: etree._Element) -> tuple[Option, ...]:
    options = tuple(
        Option(value=_option_value(one), description=doc(one)) for one in children(param, "option")
    )
    if options or param.get(opus("kind")):
        return options
    choices = attribute(param, "choices")
    if choices is None and (phrase := _CHOICES.search(doc(param))) is not None:
        choices = phrase[1] or phrase[2]
    values = [value for value in (one.strip() for one in (choices or "").split("|")) if value]
    return () if values == ["0"] else tuple(Option(value=value) for value in values)


def _option_value(option: etree._Element) -> str:
    value = option.get("value")
    if value is None:
        value = names.clean_text(option.text or "")
        if not value:
            raise JdlError("an <option> has no value", line=line(option))
    return value


def _used(param: etree._Element) -> UsedDescription:
    return UsedDescription(
        name=_input_name(param),
        description=doc(param),
        default=optional(param, "default"),
        required=boolean(param, "required"),
        content_type=text(param, "content_type"),
        role=param.get(opus("role"), ""),  # xlink has one, too, and it means something else
        multiplicity=text(param, "multiplicity"),
        url=text(param, "url"),
    )


def _generated(option: etree._Element) -> GeneratedDescription:
    return GeneratedDescription(
        name=_option_value(option),
        description=doc(option),
        default=text(option, "default"),
        required=boolean(option, "required"),
        content_type=text(option, "content_type") or option.get("mediaType", ""),
        role=option.get(opus("role"), ""),
        multiplicity=text(option, "multiplicity"),
    )
