"""The board of troubles as plain values, for one mark of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from boe_reconciler.core.troubles import Board, Heard, Kind, Trouble
from boe_reconciler.ledgers.sqlite.tables import values

_INSTANTS = ("since", "at", "occurrence", "over_at")


def written(board: Board) -> dict[str, Any]:
    return {
        "until": _text(board.until),
        "seen": board.seen,
        "troubles": [_trouble(one) for one in board.troubles.values()],
        "sent": {who: _text(moment) for who, moment in board.sent.items()},
    }


def read(found: Mapping[str, Any]) -> Board:
    troubles = [_read(one) for one in found["troubles"]]
    return Board(
        until=_instant(found["until"]),
        seen=tuple(found["seen"]),
        troubles={one.subject: one for one in troubles},
        sent={
            who: datetime.fromisoformat(moment) for who, moment in found["sent"].items()
        },
    )


def _trouble(one: Trouble) -> dict[str, Any]:
    found = values(one)
    moments = {name: _text(found[name]) for name in _INSTANTS}
    heard = [[each.who, each.what, _text(each.at)] for each in one.heard]
    return {**found, **moments, "heard": heard}


def _read(found: Mapping[str, Any]) -> Trouble:
    moments = {name: _instant(found[name]) for name in _INSTANTS}
    heard = tuple(
        Heard(who=who, what=what, at=datetime.fromisoformat(moment))
        for who, what, moment in found["heard"]
    )
    typed = {"kind": Kind(found["kind"]), "details": tuple(found.get("details", ()))}
    return Trouble(**{**found, **moments, **typed, "heard": heard})


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
