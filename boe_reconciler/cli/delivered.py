"""What became of a run's deliveries, for `boe show`: who got it, who did not, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from boe_reconciler.cli.output import both, one_line
from boe_reconciler.core.outcome import unwanted
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryEvent,
    DeliveryStatus,
    RunRecord,
)
from boe_reconciler.core.suppression import said, suppresses
from boe_reconciler.core.wording import sentence

#: So many who got it are told one by one; of those who did not, so many.
_NAMED, _MISSED = 10, 50
_TODO = {
    DeliveryStatus.UNCONFIRMED: "Look there first. If it did not arrive:",
    DeliveryStatus.REFUSED: "Once that is mended:",
    DeliveryStatus.FAILED: "Once that is mended:",
    DeliveryStatus.CANCELLED: "To send it after all:",
}


def lines(record: RunRecord, zone: str) -> Iterator[tuple[str, str]]:
    """Each with its style: destinations in order, those who miss it before the others."""
    groups: dict[str, list[Delivery]] = {}
    for one in record.deliveries:
        groups.setdefault(one.key.destination, []).append(one)
    for destination, rows in groups.items():
        yield from _of(destination, rows, record, zone)


def _of(
    destination: str, rows: Sequence[Delivery], record: RunRecord, zone: str
) -> Iterator[tuple[str, str]]:
    if len(rows) == 1 and rows[0].key.recipient == "-":
        where = rows[0].remote or one_line(rows[0].message) or rows[0].reason
        text = f"  delivery   {destination}: {rows[0].status.value} {where}"
        yield text.rstrip(), ""
        yield from _next(rows[0], record, zone)
        return
    news = record.news_by_key
    counts = Counter(one.status.value for one in rows)
    kinds = dict.fromkeys(
        (one.key, each.kind) for one in rows for each in news.get(one.key, ())
    )
    counts += Counter(kind.value for _, kind in kinds)
    told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    yield f"  delivery   {destination}: {told}", ""
    missed: list[Delivery] = []
    got: list[Delivery] = []
    for one in rows:
        (missed if _missed(one, news.get(one.key, ())) else got).append(one)
    for one in missed[:_MISSED]:
        yield _line(one, zone), "" if unwanted(one) else "yellow"
        yield from _told(news.get(one.key, ()), zone)
        yield from _next(one, record, zone)
    yield from _left(len(missed) - _MISSED)
    for one in got[:_NAMED]:
        yield _line(one, zone), ""
        yield from _told(news.get(one.key, ()), zone)
    yield from _left(len(got) - _NAMED)


def _missed(one: Delivery, news: Sequence[DeliveryEvent]) -> bool:
    if one.status is not DeliveryStatus.ACCEPTED:
        return True
    return any(each.kind.bad for each in news)


def _told(news: Sequence[DeliveryEvent], zone: str) -> Iterator[tuple[str, str]]:
    for one in news:
        text = sentence(f"on {both(one.at, zone)} it {said(one)}")
        yield f"      {text}", "yellow" if one.kind.bad else ""
        if suppresses(one):
            address = one.key.recipient
            yield (
                f"      `boe suppressed {address}` says whether it gets mail again.",
                "",
            )


def _left(count: int) -> Iterator[tuple[str, str]]:
    if count > 0:
        yield f"    and {count:,} more: --format json has them all.", ""


def _line(one: Delivery, zone: str) -> str:
    """Who, what, when, and what the far side said."""
    key = one.key
    who = key.recipient if key.recipient != "-" else f"the file {key.part}"
    part = f" ({key.part})" if key.part != "-" and who == key.recipient else ""
    copy = f", copy {key.copy}" if key.copy else ""
    asked = ", asked for" if one.role == "asked" else ""
    tries = f" after {one.attempts} tries" if one.attempts > 1 else ""
    said = one_line(one.message) or one.receipt or one.remote or one.reason
    text = f"    {who}{part}{copy}{asked}: {one.status.value}{tries}"
    return f"{text}, {both(one.at, zone)}" + (f": {said}" if said else "")


def _next(one: Delivery, record: RunRecord, zone: str) -> Iterator[tuple[str, str]]:
    """What happens by itself, or what somebody can do."""
    run_id = record.run.run_id
    if one.next_attempt_at is not None:
        yield f"      Tried again on {both(one.next_attempt_at, zone)}.", ""
    elif one.status in _TODO:
        key = one.key
        only = (
            f" --recipient {key.recipient}"
            if key.recipient != "-"
            else f" --destination {key.destination}"
        )
        yield f"      {_TODO[one.status]} `boe resend {run_id}{only}`", ""
    elif one.reason == "removed":
        text = "Name it in git again, and `boe resend` sends it."
        yield f"      If that was a mistake: {text}", ""
