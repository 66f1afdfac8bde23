"""File names and paths: what may stand in them, and how they are built.

A name comes from a closed list of tokens in braces and is then made safe for every
file system; a path is checked here by its text alone, and once more by whoever
opens it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from boe_reconciler.core.language.suggest import closest
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.records import dataclass

DEFAULT_PATTERN = "{report_name}_{date}.{format}"
#: Tokens that take a format after a colon -> the format they have without one.
_TIMES = {
    "date": "%Y-%m-%d",
    "time": "%H%M%S",
    "timestamp": "%Y%m%d_%H%M%S",
    "year": "%Y",
    "month": "%m",
    "day": "%d",
}
_FORMATTED = ("date", "time", "timestamp")
_TEXTS = ("report_name", "schedule_name", "period", "part", "run_id", "format")
TOKENS = (*_TEXTS, *_TIMES)
_CHANGING = ("period", "run_id", *_TIMES)
_STRFTIME = re.compile(r"(?:[^%]|%[YymdHMSjVGubBaA%])+")
_PIECE = re.compile(r"\{([^{}]*)\}|\{\{.*?(?:\}\}|$)|[{}]|[/\\]", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class NameValues:
    """What the tokens of one file's name stand for."""

    #: The Report's title.
    report: str
    schedule: str
    occurrence: datetime
    #: The Schedule's zone: dates and times in names are its wall time.
    timezone: ZoneInfo
    run_id: str
    #: The format's extension, without a dot.
    extension: str
    #: What `{period}` reads, such as "2026-10".
    period: str = ""
    #: The artifact's part, such as "EMEA".
    part: str = ""


# --- Building -----------------------------------------------------------------


def file_name(pattern: str, values: NameValues) -> str:
    """A safe file name, without a folder, from a pattern that has no findings.

    A part that the pattern does not name stands in brackets before the extension.
    """
    name = sanitise(fill(pattern, values))
    if not values.part or "{part}" in pattern:
        return name
    stem, extension = _split(name)
    part = sanitise(values.part).encode()[:_MAX_PART].decode(errors="ignore")
    return _fit(stem, f" ({part}){extension}")


def piece(number: int, count: int) -> str:
    """The part of a file that is split: "01 of 12" sorts before "10 of 12"."""
    return f"{number:0{len(str(count))}} of {count}"


def fill(pattern: str, values: NameValues) -> str:
    """Put values in place of the tokens; what is no token (`{file}`) stays."""
    local = values.occurrence.astimezone(values.timezone)
    texts = {
        "report_name": "_".join(values.report.split()),
        "schedule_name": values.schedule,
        "period": values.period,
        "part": values.part,
        "run_id": values.run_id,
        "format": values.extension,
    }

    def value(match: re.Match[str]) -> str:
        token, _, form = (match[1] or "").partition(":")
        if token in _TIMES:
            return local.strftime(form or _TIMES[token])
        return texts.get(token, match[0])

    return _PIECE.sub(value, pattern)


def marker_name(pattern: str, file: str) -> str:
    """The name of a done-marker for a delivered file, such as "sales.xlsx.done"."""
    return sanitise(pattern.replace("{file}", file))


def compressed(name: str, compress: str | bool, *, several: bool = False) -> str:
    """The name after compression: gzip appends .gz, zip makes stem.zip of it.

    With several formats zip appends .zip: their names differ by nothing but that.
    """
    if compress == "gzip":
        return sanitise(name + ".gz")
    if compress != "zip":
        return name
    return sanitise(name + ".zip") if several else f"{_split(name)[0]}.zip"


def numbered(name: str, number: int) -> str:
    """ "sales.xlsx", 2 -> "sales (2).xlsx"; 1 is the name itself."""
    if number == 1:
        return name
    stem, extension = _split(name)
    return _fit(stem, f" ({number}){extension}")


def dated_folder(occurrence: datetime, timezone: ZoneInfo) -> str:
    """YYYY/MM/DD of the occurrence in the Schedule's zone."""
    return occurrence.astimezone(timezone).strftime("%Y/%m/%d")


def key_folder(
    prefix: str, dated: bool, occurrence: datetime, timezone: ZoneInfo
) -> str:
    """What an object's key has before the file's name: empty, or with a / at its end."""
    parts = [part for part in prefix.split("/") if part]
    if dated:
        parts.append(dated_folder(occurrence, timezone))
    return "".join(f"{part}/" for part in parts)


# --- Making safe --------------------------------------------------------------

#: Bytes that a name may have on every common file system.
MAX_BYTES = 255
#: Of them for a part that the pattern does not name.
_MAX_PART = 100
#: Not allowed on some file system, or read as a separator by somebody.
_UNSAFE = r'[<>:"/\\|?*\u2024-\u2026\u2044\u2215\u29f5\u29f8\u29f9\ufe52\ufe68\uff0e\uff0f\uff3c\uff1a]'
#: What has nothing of all that, but may be reserved: nearly every name.
_PLAIN = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,253}[A-Za-z0-9_-]"
_RESERVED = r"(?i)(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\.|$)"


def sanitise(name: str) -> str:
    """The same name without what a file system, a shell or a reader trips over.

    Separators and their look-alikes become `_`; control, format (bidi, zero
    width) and unpaired characters go; so do leading dots and trailing dots and
    spaces; reserved Windows names get a `_` in front; what is longer than 255
    bytes is cut before its extension. Never empty.
    """
    if re.fullmatch(_PLAIN, name) and not re.match(_RESERVED, name):
        return name
    text = unicodedata.normalize("NFC", name)
    text = "".join(" " if each.isspace() else each for each in text)
    text = "".join(each for each in text if unicodedata.category(each)[0] != "C")
    text = re.sub(_UNSAFE, "_", text).strip(" ").lstrip(". ").rstrip(". ")
    if re.match(_RESERVED, text.replace(" ", "")) or text.startswith("~"):
        text = "_" + text
    stem, extension = _split(text)
    return _fit(stem, extension) if text else "file"


def _split(name: str) -> tuple[str, str]:
    """Stem and extension; `.csv.gz` is one extension."""
    match = re.search(r"(\.\w{1,10})?(\.\w{1,10})$", name[1:])
    if not match:
        return name, ""
    if match[1] and match[2].lower() not in (".gz", ".zip", ".done"):
        return name[: -len(match[2])], match[2]
    return name[: -len(match[0])], match[0]


def _fit(stem: str, extension: str) -> str:
    """Stem and extension in at most 255 bytes: the stem is cut between characters."""
    room = MAX_BYTES - len(extension.encode())
    cut = stem.encode()[:room].decode(errors="ignore")
    return (cut if cut == stem else cut.rstrip(". ")) + extension


# --- Checking -----------------------------------------------------------------


def check_pattern(pattern: str, *, marker: bool = False) -> list[TextFinding]:
    """What is wrong with a filename_pattern, or with a done_marker."""
    found = []
    known = (*TOKENS, "file") if marker else TOKENS
    changes = False
    for match in _PIECE.finditer(pattern):
        sound = match[1] in known
        problem = None if sound else _check_piece(match[0], match[1], known)
        word = (match[1] or "").partition(":")[0]
        changes = changes or word in _CHANGING or word == "file"
        if problem:
            code, detail, todo = problem
            found.append(
                TextFinding(
                    code=code,
                    detail=detail,
                    help=todo,
                    offset=match.start(),
                    length=len(match[0]),
                )
            )
    if not found and not changes:
        found.append(_constant(pattern))
    return found


def _check_piece(
    text: str, token: str | None, known: Sequence[str]
) -> tuple[str, str, str] | None:
    if text.startswith("{{"):
        todo = "write a token in single braces, such as {date}"
        return "BOE161", f"{text} is a template; a file name has tokens", todo
    if text in "{}":
        return "BOE163", f"this {text} has no partner", "a token is written {date}"
    if text in "/\\":
        todo = "folders come from base_path and create_subdirs"
        return "BOE164", f"a file name cannot hold {text}", todo
    name, colon, form = (token or "").partition(":")
    if name not in known:
        return "BOE160", f"there is no token {text}", _instead(name, known)
    if colon and (name not in _FORMATTED or not _STRFTIME.fullmatch(form)):
        return "BOE165", f"{text} has a format it cannot have", "such as {date:%Y%m%d}"
    return None


def _instead(name: str, known: Sequence[str]) -> str:
    if name == "file":
        return "{file} stands only in a done_marker"
    guess = closest(name, known)
    if guess:
        return f"did you mean {{{guess}}}?"
    return "there are " + " ".join(f"{{{each}}}" for each in known)


def _constant(pattern: str) -> TextFinding:
    return TextFinding(
        code="BOE167",
        detail=f"{pattern!r} gives every file the same name",
        help="add a token that changes from run to run, such as {date}",
        length=len(pattern),
        severity="warning",
    )


def check_template(text: str) -> list[TextFinding]:
    """File-name tokens that stand in a subject, a body, an input or a parameter."""
    outside = re.sub(
        r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}",
        lambda match: " " * len(match[0]),
        text,
        flags=re.DOTALL,
    )
    return [
        TextFinding(
            code="BOE162",
            detail=f"{match[0]} is a token of file names; it stays as it is here",
            help=f"write {_TEMPLATES[match[1]]}",
            offset=match.start(),
            length=len(match[0]),
        )
        for match in re.finditer(r"\{(\w+)(?::[^{}]*)?\}", outside)
        if match[1] in _TEMPLATES
    ]


#: What stands for each file-name token in a template.
_TEMPLATES = {
    "report_name": "{{ report }}",
    "schedule_name": "{{ schedule }}",
    "date": "{{ occurrence.date() }}",
    "time": "{{ occurrence.strftime('%H:%M') }}",
    "timestamp": "{{ occurrence }}",
    "year": "{{ occurrence.year }}",
    "month": "{{ occurrence.month }}",
    "day": "{{ occurrence.day }}",
    "period": "{{ period }}",
    "part": "{{ part }}",
    "run_id": "{{ run_id }}",
}


# --- Paths --------------------------------------------------------------------


#: What cannot stand in a path below a root, in the order in which it is told.
_NOT_RELATIVE = (
    (re.compile(r"\s*$"), "it is empty"),
    (
        re.compile(r".*[\\]|[A-Za-z]:"),
        "it is written for Windows: use / between folders",
    ),
    (re.compile(r"/"), "it is absolute"),
    (re.compile(r"(.*/)?\.\.(/|$)"), "it holds .."),
    (re.compile(r"~"), "~ is not expanded"),
)


def transform_parts(transform: str) -> tuple[str, str]:
    """`module:function` -> the module's file, from the root of the repo, and the function."""
    module, _, function = transform.partition(":")
    return f"{module.replace('.', '/')}.py", function


def check_relative(path: str) -> str:
    """Why a path cannot be used below a root; empty when it can."""
    plain = path.isascii() and path.isprintable()
    if not plain and any(unicodedata.category(each)[0] == "C" for each in path):
        return "it holds a control character"
    long = len(path.encode()) > MAX_BYTES
    if long and any(len(part.encode()) > MAX_BYTES for part in path.split("/")):
        return f"a part of it is longer than {MAX_BYTES} bytes"
    reasons = (reason for pattern, reason in _NOT_RELATIVE if pattern.match(path))
    return next(reasons, "")


def check_remote_path(path: str) -> str:
    """Why a folder of a far side is refused, absolute or not; empty when it is fine."""
    return check_relative("." + path if path.startswith("/") else path)


def sftp_url(host: str, port: int, path: str) -> str:
    """Where a file is; a path that does not begin with `/` is below the user's home."""
    there = host if port == 22 else f"{host}:{port}"
    return f"sftp://{there}{path if path.startswith('/') else f'/~/{path}'}"


def check_base_path(path: str, local_roots: Sequence[str] | None) -> str:
    """Why a `base_path` is refused; empty when it is fine.

    `local_roots` is Policy's list: folders below the local root, or absolute
    ones; None means the local root alone.
    """
    wrong = check_remote_path(path)
    if wrong:
        return wrong
    if base_root(path, local_roots) is None:
        roots = ", ".join(local_roots or []) or "none"
        if path.startswith("/"):
            return f"it is absolute and outside Policy's allow.local_roots ({roots})"
        return f"it is outside Policy's allow.local_roots ({roots})"
    return ""


def base_root(path: str, local_roots: Sequence[str] | None) -> str | None:
    """The root that a base_path is in: "" for the local root, or an absolute one."""
    if local_roots is None:
        return None if path.startswith("/") else ""
    pure = PurePosixPath(re.sub("^/+", "/", path))
    for root in local_roots:
        if pure.is_relative_to(PurePosixPath(root)):
            return root if root.startswith("/") else ""
    return None
