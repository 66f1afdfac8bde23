"""pydantic's errors in the words of the language: where, what, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.suggest import closest, did_you_mean, listed
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.types import FORMS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: The names of the fields that may stand in the map at a path.
FieldNames = Callable[[Path], Iterable[str]]

#: What pydantic calls a type -> what we call it.
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a map",
    "dataclass_type": "a map",
}
#: pydantic's type -> (code, sentence with what its context holds, what to do).
_BOUNDS = {
    "greater_than": ("BOE039", "must be more than {gt:g}"),
    "greater_than_equal": ("BOE039", "must be {ge:g} or more"),
    "less_than": ("BOE039", "must be less than {lt:g}"),
    "less_than_equal": ("BOE039", "must be {le:g} or less"),
    "finite_number": ("BOE039", "must be finite"),
    "int_parsing_size": ("BOE039", "is too large"),
    "string_too_short": ("BOE040", "must have {min_length} character or more"),
    "string_too_long": ("BOE040", "must have {max_length} characters or fewer"),
    "too_short": ("BOE040", "must have {min_length} entry or more"),
    "too_long": ("BOE040", "must have {max_length} entries or fewer"),
}
_SECRETS = ("EnvSecret", "FileSecret", "SopsSecret")
_REFERENCES = "{env: NAME}, {file: path} or {sops: file#key}"
_NOT_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
#: The names of a union's members, as they stand in `Tag`s, in words.
_SHAPES = {"name": "a name", "inline": "a map", "text": "text", "distribution": "a map"}


@dataclass(frozen=True, slots=True)
class _Error:
    """One of pydantic's errors with its path in the YAML."""

    path: Path
    type: str
    value: Any
    context: Mapping[str, Any]
    #: The mistake is in the key itself.
    at_key: bool
    message: str


def findings_of(
    errors: Iterable[ErrorDetails], data: Any, fields: FieldNames
) -> list[Finding]:
    """One Finding for each place; of a union's branches the one that went deepest."""
    by_path: dict[Path, list[_Error]] = {}
    for details in errors:
        error = _error(details, data)
        by_path.setdefault(error.path, []).append(error)
    inner = {path[:length] for path in by_path for length in range(len(path))}
    slips = {_meant(group[0], fields) for group in by_path.values()}
    return [
        _finding(group, fields)
        for path, group in by_path.items()
        if path not in inner and not (group[0].type == "missing" and path in slips)
    ]


def _meant(error: _Error, fields: FieldNames) -> Path | None:
    """The path of the field that an unknown one is a slip of."""
    if error.type != "unexpected_keyword_argument":
        return None
    *above, name = error.path
    found = closest(str(name), fields(tuple(above)))
    return (*above, found) if found else None


def _error(details: ErrorDetails, data: Any) -> _Error:
    missing = details["type"] == "missing"
    at_key = details["loc"][-1:] == ("[key]",)
    path = tuple(_steps(details["loc"], data, missing=missing))
    return _Error(
        path=path,
        type=details["type"],
        value=details["input"],
        context=details.get("ctx", {}),
        at_key=at_key,
        message=details["msg"],
    )


def _steps(
    location: tuple[str | int, ...], data: Any, *, missing: bool
) -> Iterator[str | int]:
    """The steps that lead through the data: the rest are names of union members."""
    last = len(location) - 1
    for number, step in enumerate(location):
        is_list = isinstance(data, list) and isinstance(step, int)
        if is_list or (isinstance(data, dict) and step in data):
            data = data[step]
        elif not (missing and number == last):
            continue
        yield step


def _finding(group: list[_Error], fields: FieldNames) -> Finding:
    secrets = [e for e in group if e.context.get("class_name") in _SECRETS]
    if secrets:
        return _plain_secret(secrets[0])
    wrong_types = [error for error in group if error.type in _EXPECTED]
    others = [error for error in group if error.type not in _EXPECTED]
    if not others:
        return _wrong_type(wrong_types)
    return _translate(others[0], fields)


def _translate(error: _Error, fields: FieldNames) -> Finding:
    if error.type == "missing":
        return _missing(error)
    if error.type == "unexpected_keyword_argument":
        return _unknown_field(error, fields(error.path[:-1]))
    if error.type == "literal_error":
        return _not_one_of(error)
    if error.type.startswith("union_tag"):
        return _no_branch(error)
    if error.type in _BOUNDS:
        code, words = _BOUNDS[error.type]
        return _told(error, code, words.format(**error.context))
    return _wrong_form(error)


def _told(error: _Error, code: str, detail: str, todo: str = "") -> Finding:
    return Finding(
        code=code, path=error.path, detail=detail, help=todo, at_key=error.at_key
    )


def shown(value: Any) -> str:
    """A value as it may stand in a message."""
    if isinstance(value, str):
        text = value if len(value) <= 60 else f"{value[:60]}…"
        return '"' + re.sub(r"\s+", " ", text) + '"'
    words = {
        dict: "a map",
        list: "a list",
        bool: str(value).lower(),
        type(None): "null",
    }
    return words.get(type(value)) or str(value)


def _wrong_type(group: list[_Error]) -> Finding:
    return _expected(group[0], listed(dict.fromkeys(_EXPECTED[e.type] for e in group)))


def _expected(error: _Error, expected: str) -> Finding:
    kinds = {int: "the number ", float: "the number ", str: "the text "}
    found = kinds.get(type(error.value), "") + shown(error.value)
    detail = f"expected {expected}, found {found}"
    return _told(error, "BOE036", detail, _type_help(error.value, expected))


def _type_help(value: Any, expected: str) -> str:
    if "true or false" in expected and isinstance(value, str):
        meant = _NOT_BOOLEANS.get(value.lower(), value.lower())
        return f"write {meant}" if meant in ("true", "false") else ""
    if "text" in expected and isinstance(value, int | float):
        return "put it in quotes"
    if "number" in expected and isinstance(value, str) and value.strip("-.").isdigit():
        return "write it without quotes"
    if "list" in expected and isinstance(value, dict):
        return "write it as an entry of a list: a line that begins with -, or [ ] around it"
    if "a map" in expected and isinstance(value, str) and re.match(r"\w+:\S", value):
        return "is a space missing after the colon?"
    return "remove the key, or give it a value" if value is None else ""


def _plain_secret(error: _Error) -> Finding:
    detail = f"a secret is written as a reference: {_REFERENCES}"
    todo = "put the value itself there; if this one is real, change it"
    return _told(error, "BOE049", detail, todo)


def _missing(error: _Error) -> Finding:
    *above, name = error.path
    inside = f" in {above[-1]}" if above and isinstance(above[-1], str) else ""
    return _told(error, "BOE034", f"{name} is missing{inside}", f"add {name}")


def _unknown_field(error: _Error, known: Iterable[str]) -> Finding:
    name = str(error.path[-1])
    known = list(known)
    if error.path == ("metadata", "namespace"):
        told = ("BOE045", "namespace is reserved", "remove it")
    else:
        otherwise = f"known: {', '.join(known)}" if known else "remove it"
        told = (
            "BOE035",
            f'there is no field "{name}" here',
            did_you_mean(name, known, otherwise),
        )
    code, detail, todo = told
    return Finding(code=code, path=error.path, detail=detail, help=todo, at_key=True)


def _not_one_of(error: _Error) -> Finding:
    words = re.findall(r"'([^']*)'|\b(False|True)\b", error.context["expected"])
    known = [text or word.lower() for text, word in words]
    expected = f"one of {', '.join(known)}" if len(known) > 1 else f"only {known[0]}"
    detail = f"{shown(error.value)} is not possible here, {expected}"
    todo = did_you_mean(error.value, known) if isinstance(error.value, str) else ""
    return _told(error, "BOE037", detail, todo)


def _no_branch(error: _Error) -> Finding:
    """The value has none of the shapes that a union knows."""
    tags = re.findall(r"<([^>]*)>", error.context["expected_tags"])
    if not isinstance(error.value, dict):
        forms = listed(dict.fromkeys(_SHAPES.get(tag, "a map") for tag in tags))
        return _expected(error, forms)
    types = [tag.removeprefix("=") for tag in tags if tag.startswith("=")]
    keys = [tag for tag in tags if not tag.startswith("=") and tag != "name"]
    if types and "type" in error.value:
        return _unknown_type(error, types)
    return _nothing_tells(error, ["type"] * bool(types) + keys, types)


def _unknown_type(error: _Error, types: list[str]) -> Finding:
    found = error.value["type"]
    todo = did_you_mean(str(found), types, f"known: {', '.join(types)}")
    return Finding(
        code="BOE044",
        path=(*error.path, "type"),
        detail=f"there is no type {shown(found)}",
        help=todo,
    )


def _nothing_tells(error: _Error, keys: list[str], types: list[str]) -> Finding:
    slips = [(key, closest(key, keys)) for key in error.value]
    slip = next(((key, meant) for key, meant in slips if meant), None)
    todo = f"types: {', '.join(types)}" if types else f"add {listed(keys)}"
    if slip:
        todo = f'did you mean "{slip[1]}" by "{slip[0]}"?'
    detail = f"{listed(keys)} is missing: nothing says what this is"
    return _told(error, "BOE034", detail, todo)


def _wrong_form(error: _Error) -> Finding:
    if error.type == "value_error":
        words = str(error.context["error"])
    elif error.type == "string_pattern_mismatch":
        pattern = error.context["pattern"]
        words = FORMS.get(pattern, f"it does not have the form {pattern}")
    else:
        words = error.message
    return _told(error, "BOE038", f"{shown(error.value)} does not fit", words)
