"""Each chat service gets the JSON that it takes."""

from __future__ import annotations

import json
from typing import Any

from boe_reconciler.core.shapes import shaped

SECTION = {
    "title": "Sales failed",
    "what": "1 < 2 & <!channel>",
    "facts": [["Since", "06:30"]],
    "each": ["daily"],
    "command": "boe rerun daily.1",
}
NOTICE: dict[str, Any] = {
    "who": "ops/chat",
    "url": "https://example.com/a-key",
    "subject": "Sales failed",
    "text": "Sales failed.",
    "sections": [SECTION, {**SECTION, "facts": [], "command": ""}],
    "footer": "Sent by BOE.",
    "environment": "",
    "at": "2026-03-01T06:30:00+00:00",
}


def test_slack_gets_a_text_that_calls_nobody() -> None:
    found = shaped("hooks.slack.com", NOTICE)
    assert list(found) == ["text"]
    assert found["text"].startswith("*Sales failed*\n1 &lt; 2 &amp; &lt;!channel&gt;\n")
    assert found["text"].count("To mend it: `boe rerun daily.1`") == 1


def test_teams_gets_a_card() -> None:
    for host in ("x.webhook.office.com", "prod-1.westeurope.logic.azure.com"):
        found = shaped(host, NOTICE)
        (attachment,) = found["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert card["type"] == "AdaptiveCard"
        kinds = [one["type"] for one in card["body"]]
        assert kinds.count("FactSet") == 1
        assert card["body"][2]["facts"] == [{"title": "Since", "value": "06:30"}]


def test_what_a_far_side_says_is_no_link() -> None:
    evil = "[your password](https://evil.example)"
    section = {**SECTION, "what": evil, "facts": [["Run", evil]], "each": [evil]}
    found = shaped("x.webhook.office.com", {**NOTICE, "sections": [section]})
    assert "](https" not in json.dumps(found, ensure_ascii=False)


def test_a_text_without_sections_is_one_in_each_shape() -> None:
    notice = {"text": "main@sha1:1: <!channel>\nx.yaml:3: BOE012", "at": "now"}
    assert shaped("example.com", notice) == {"text": notice["text"]}
    escaped = shaped("hooks.slack.com", notice)["text"]
    assert escaped == "main@sha1:1: &lt;!channel&gt;\nx.yaml:3: BOE012"
    (card,) = shaped("x.webhook.office.com", notice)["attachments"]
    lines = [one["text"] for one in card["content"]["body"]]
    assert lines == notice["text"].splitlines()


def test_others_get_all_that_is_known_but_how_they_are_reached() -> None:
    found = shaped("example.com", NOTICE)
    assert found["type"] == "boe.notice"
    assert found["text"] == "Sales failed."
    assert "a-key" not in json.dumps(found)
