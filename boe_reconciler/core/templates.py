"""Jinja2, sandboxed: values of parameters and inputs, subjects, bodies.

A template sees exactly what it is given: no clock, no chance, no way out, and no
text that grows beyond bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.language.suggest import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

MAX_TEXT = 100_000

#: All names that a template may find, and what to do where one is not there.
ABSENT = {
    "occurrence": "",
    "occurrence_utc": "",
    "period": "add `period` to the Schedule, such as previous_month",
    "schedule": "",
    "report": "",
    "owner": "",
    "run_id": "",
    "parameters": "a parameter cannot use other parameters",
    "inputs": "inputs belong to the Distribution that declares them",
    "part": "part is there only in a burst",
    "rows": "rows is there only in mails",
    "recipient": "recipient is there only in unsubscribe",
}
#: Filters that neither read the outside nor make text of any length.
_FILTERS = (
    "abs capitalize count d default e escape first float int last length list lower "
    "max min reverse round sort string sum title trim truncate unique upper"
).split()
#: Attributes that read the clock or the machine's zone.
_FORBIDDEN = frozenset(
    "now today utcnow fromtimestamp utcfromtimestamp astimezone".split()
)
#: What may be asked of a text: nothing that makes one of any length.
_OF_TEXT = frozenset(
    "capitalize casefold endswith isalpha isdigit islower isupper lower lstrip "
    "removeprefix removesuffix rstrip split startswith strip title upper".split()
)
#: How deep loops may be nested, and how often each goes round.
MAX_DEPTH = 2
MAX_ROUNDS = 1000
#: One expression that only looks things up, and the values that it may find.
_DOTTED = re.compile(r"\{\{ ?([a-z][a-z_]*)\.([a-z][a-z_]*(?:\.[a-z][a-z_]*)*) ?\}\}")
_PLAIN = (str, int, date)


class TemplateError(Exception):
    """What is wrong with a template, in words."""

    def __init__(self, message: str, help: str = "", line: int | None = None) -> None:  # noqa: A002 as everywhere
        super().__init__(message)
        self.message = message
        self.help = help
        #: 1-based, in the template's text.
        self.line = line


def is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


def render(
    text: str, context: Mapping[str, Any], *, html: bool = False, url: bool = False
) -> str:
    """The text with its expressions filled in; TemplateError where that fails.

    With `html` the text is HTML, and what is filled in is not: it is escaped. With `url`
    it is an address, and what is filled in is percent-encoded.
    """
    if not is_template(text):
        return text
    plain = None if html or url else _plain(text, context)
    if plain is not None:
        return plain
    from jinja2 import UndefinedError  # noqa: PLC0415 0.1 s, and most repos need it late or never

    template = compiled(text, html=html, url=url)
    try:
        result = template.render(context)
    except UndefinedError as error:
        raise _undefined(str(error.message), context) from None
    except TemplateError:
        raise
    except Exception as error:
        raise TemplateError(_sentence(error)) from None
    _check_length(len(result))
    return result


def _plain(text: str, context: Mapping[str, Any]) -> str | None:
    """What Jinja2 would make of "{{ period.start.month }}", without loading it.

    None where the text is anything more, or the value is not a plain one.
    """
    found = _DOTTED.fullmatch(text)
    if not found or _FORBIDDEN.intersection(found[2].split(".")):
        return None
    value = context.get(found[1])
    for name in found[2].split("."):
        value = getattr(value, name, None)
    return str(value) if isinstance(value, _PLAIN) else None


@lru_cache(maxsize=4096)
def compiled(text: str, *, html: bool = False, url: bool = False) -> Template:
    """TemplateError where the text is no template."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 see render

    environment = _environment(html=html, url=url)
    try:
        tree = environment.parse(text)
        _bound(tree)
        return environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise TemplateError(error.message or "", line=error.lineno) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise TemplateError(_sentence(error)) from None


@lru_cache(maxsize=4096)
def names_in(text: str) -> frozenset[str]:
    """The names that a template takes from its context."""
    from jinja2.meta import find_undeclared_variables  # noqa: PLC0415 see render

    if not is_template(text):
        return frozenset()
    compiled(text)
    return frozenset(find_undeclared_variables(_environment().parse(text)))


def attributes_in(text: str) -> set[tuple[str, str]]:
    """(name, attribute) of what a template looks up in what its context gives it.

    Not where it says itself what to do without that.
    """
    from jinja2 import nodes  # noqa: PLC0415 see render

    names = names_in(text)
    if not names:
        return set()
    tree = _environment().parse(text)
    own = {one.name for one in tree.find_all(nodes.Name) if one.ctx == "store"}
    guards = [
        one
        for one in tree.find_all((nodes.Filter, nodes.Test))
        if one.name in ("default", "d", "defined", "undefined")
    ]
    guarded = {pair for one in guards for pair in _looked_up(one)}
    return {pair for pair in _looked_up(tree) if pair[0] in names - own} - guarded


def _looked_up(tree: Any) -> Iterator[tuple[str, str]]:
    """`a.b` and `a["b"]`."""
    from jinja2 import nodes  # noqa: PLC0415 see render

    for one in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if isinstance(one.node, nodes.Name):
            attribute = getattr(one, "attr", None) or getattr(one.arg, "value", None)
            if isinstance(attribute, str):
                yield one.node.name, attribute


def _bound(tree: Any) -> None:
    """Only what ends soon and stays small: no variables, short loops."""
    from jinja2 import nodes  # noqa: PLC0415 see render

    for statement in tree.find_all(nodes.Stmt):
        if not isinstance(statement, nodes.Output | nodes.If | nodes.For):
            word = type(statement).__name__.lower()
            todo = "templates have {{ … }}, {% if %} and {% for %}"
            raise TemplateError(f"there is no {word} here", todo, statement.lineno)
    for loop in tree.find_all(nodes.For):
        if loop.recursive or _depth(loop, nodes.For) > MAX_DEPTH:
            told = f"loops are nested at most {MAX_DEPTH} deep"
            raise TemplateError(told, line=loop.lineno)
        loop.iter = nodes.Filter(
            loop.iter, "_few", [], [], None, None, lineno=loop.lineno
        )
    tree.set_environment(_environment())


def _depth(node: Any, kind: type[Any]) -> int:
    inner = max((_depth(each, kind) for each in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, kind)


def _few(items: Any) -> list[Any]:
    found = list(items)
    if len(found) > MAX_ROUNDS:
        raise TemplateError(f"a loop goes round at most {MAX_ROUNDS:,} times")
    return found


def _replace(text: Any, old: Any, new: Any) -> str:
    text, old, new = str(text), str(old), str(new)
    _check_length(len(text) + text.count(old) * len(new))
    return str(text.replace(old, new))


def _join(items: Any, between: Any = "") -> str:
    texts, between = [str(item) for item in items], str(between)
    _check_length(sum(map(len, texts)) + len(texts) * len(between))
    return str(between.join(texts))


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise TemplateError(f"the text has more than {MAX_TEXT:,} characters")


def _sentence(error: Exception) -> str:
    return str(error) or f"it cannot be filled in ({type(error).__name__})"


def _undefined(message: str, context: Mapping[str, Any]) -> TemplateError:
    name = re.fullmatch(r"'(\w+)' is undefined", message)
    if name and name[1] in ABSENT:
        return TemplateError(f"there is no {name[1]} here", ABSENT[name[1]])
    if name:
        known = ", ".join(context)
        todo = did_you_mean(name[1], context, f"known: {known}")
        return TemplateError(f'there is no "{name[1]}"', todo)
    attribute = re.fullmatch(r"'([\w.]+) object' has no attribute '(.+)'", message)
    if attribute:
        what = attribute[1].rpartition(".")[2].lower()
        owner = "" if what == "dict" else f"{what} has no "
        return TemplateError(f'{owner or "there is no "}"{attribute[2]}"')
    return TemplateError(message)


@lru_cache(maxsize=4)
def _environment(*, html: bool = False, url: bool = False) -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # noqa: PLC0415 see render
    from jinja2.exceptions import SecurityError  # noqa: PLC0415 see render
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 see render

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(("*", "**", "%"))

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            allowed = attr in _OF_TEXT if isinstance(obj, str) else True
            safe = super().is_safe_attribute(obj, attr, value)
            return allowed and safe and attr not in _FORBIDDEN

        def wrap_str_format(self, value: Any) -> None:
            """A text's `format` is judged like its other attributes."""

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" or not _small(left) or not _small(right):
                raise SecurityError(f"{operator} is for numbers of up to 12 digits")
            return super().call_binop(context, operator, left, right)

    def shown(value: Any) -> Any:
        if callable(value) and not isinstance(value, StrictUndefined):
            name = getattr(value, "__name__", "this")
            raise TemplateError(f'"{name}" is a function', f"call it: {name}()")
        return _percent_encoded(str(value)) if url else value

    found = Sandbox(undefined=StrictUndefined, autoescape=html, finalize=shown)
    found.globals.clear()
    kept = {name: found.filters[name] for name in _FILTERS}
    found.filters = {**kept, "join": _join, "replace": _replace, "_few": _few}
    return found


def _percent_encoded(text: str) -> str:
    """All but what RFC 3986 calls unreserved."""
    octets = re.sub(
        rb"[^A-Za-z0-9._~-]", lambda found: b"%%%02X" % found[0][0], text.encode()
    )
    return octets.decode()


def _small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 10**12
