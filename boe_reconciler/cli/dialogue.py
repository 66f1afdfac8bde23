"""Questions in a terminal: each has a default, and is asked again until it is answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import typer

from boe_reconciler.cli.output import complain, say
from boe_reconciler.core.errors import InputError


def on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str, default: str, check: Callable[[str], str] = str) -> str:
    """The answer as `check` reads it; its InputError is told, and asked again."""
    while True:
        answer = typer.prompt(question, default=default, show_default=bool(default))
        try:
            return check(str(answer).strip())
        except InputError as error:
            complain(error.message, error.help)


def choose(question: str, choices: Mapping[str, str], default: str) -> str:
    """One of the keys of `choices`: by its number, itself, its words, or a part of its own."""
    keys = list(choices)
    width = max(map(len, keys))
    say(f"{question}:")
    for number, (key, words) in enumerate(choices.items(), 1):
        say(f"  {number:>2}  {key:{width}}  {words}".rstrip())

    def check(answer: str) -> str:
        if answer in choices:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(keys):
            return keys[int(answer) - 1]
        part = answer.casefold().replace(" ", "_")
        found = [key for key in keys if part in key.casefold().replace(" ", "_")]
        found = found or [key for key in keys if choices[key].casefold() == part]
        if len(found) == 1:
            return found[0]
        raise InputError(f'"{answer}" is none of them.', "Give its number or its name.")

    return ask("Which", str(keys.index(default) + 1), check)


def confirm(question: str, *, default: bool) -> bool:
    return bool(typer.confirm(question, default=default))
