"""The JSON that chat services take; which of them it is follows from the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEAMS = (".webhook.office.com", ".logic.azure.com", ".api.powerplatform.com")


def shaped(host: str, notice: Mapping[str, Any]) -> dict[str, Any]:
    """A notice as Slack takes it, as Teams does, or as all it is.

    What has no sections is a text of a few lines, and goes as one.
    """
    if "sections" not in notice:
        return _text(host, notice["text"])
    if host == "hooks.slack.com":
        return _slack(notice)
    if host.endswith(_TEAMS):
        return _teams(notice)
    kept = ("subject", "text", "sections", "environment")
    return {
        "type": "boe.notice",
        "timestamp": notice["at"],
        **{key: notice[key] for key in kept},
    }


def _text(host: str, text: str) -> dict[str, Any]:
    if host.endswith(_TEAMS):
        return _card([_block(line) for line in text.splitlines()])
    return {"text": _escaped(text) if host == "hooks.slack.com" else text}


def _slack(notice: Mapping[str, Any]) -> dict[str, Any]:
    parts = []
    for section in notice["sections"]:
        lines = [f"*{_escaped(section['title'])}*", _escaped(section["what"])]
        lines += [
            f"{_escaped(name)}: {_escaped(value)}" for name, value in section["facts"]
        ]
        lines += [f"• {_escaped(one)}" for one in section["each"]]
        if section["command"]:
            lines.append(f"To mend it: `{_escaped(section['command'])}`")
        parts.append("\n".join(lines))
    return {"text": "\n\n".join([*parts, _escaped(notice["footer"])])}


def _escaped(text: str) -> str:
    """The three that have a meaning there, so that nothing calls or links anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(notice: Mapping[str, Any]) -> dict[str, Any]:
    """A message with one Adaptive Card."""
    body: list[dict[str, Any]] = []
    for section in notice["sections"]:
        body.append({**_block(section["title"]), "weight": "Bolder", "size": "Medium"})
        body.append(_block(section["what"]))
        facts = [
            {"title": name, "value": _unlinked(value)}
            for name, value in section["facts"]
        ]
        if facts:
            body.append({"type": "FactSet", "facts": facts})
        body += [_block(f"- {one}") for one in section["each"]]
        if section["command"]:
            body.append(_block("To mend it:"))
            body.append({**_block(section["command"]), "fontType": "Monospace"})
    body.append({**_block(notice["footer"]), "isSubtle": True})
    return _card(body)


def _card(body: list[dict[str, Any]]) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": kind, "contentUrl": None, "content": card}],
    }


def _block(text: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _unlinked(text), "wrap": True}


def _unlinked(text: str) -> str:
    """A card shows `[words](address)` as a link: what a far side said is none."""
    return text.replace("](", "]\u200b(")
