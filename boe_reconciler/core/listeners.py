"""Who is told of troubles, and by which way: worked out anew from what is served.

So somebody who was removed in git, or whose day in a Group is over, hears nothing more.
Recipients of reports are no listeners, unless somebody names them as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.language.addresses import address_flaw, addresses_in, folded
from boe_reconciler.core.notices import MAIL, OPS, WEBHOOK
from boe_reconciler.core.recipients import refusal
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.spec import Served
from boe_reconciler.core.templates import TemplateError, render
from boe_reconciler.core.troubles import Kind, Trouble

_MAIL_TYPES = ("smtp", "ses")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    #: What tells one from another: an address, or "DISTRIBUTION/DESTINATION".
    who: str
    channel: str
    #: The Connection that reaches them; None: `url` does, or a setting.
    connection: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listeners:
    served: Served
    today: date
    #: Whether a setting names an address for notices.
    webhook: bool = False

    def of(self, one: Trouble) -> Sequence[Listener]:
        """Its Schedule's `notify`, or the owner; and in any case the ops channel."""
        found = list(self.ops)
        kind, _, name = one.subject.partition(" ")
        if one.kind is Kind.REVISION:
            # The setting's address hears of revisions at once (docs/forges.md).
            found = [each for each in found if each.channel != WEBHOOK]
        elif one.schedule:
            named = [*self._approvers(one), *self._notify(one.schedule)]
            found += self._named(named, one.schedule)
        elif not found and kind == "connection":
            found += self._named([self._owner("Connection", name)], "")
        return list({each.who: each for each in self._redirected(found)}.values())

    @cached_property
    def ops(self) -> Sequence[Listener]:
        """Those that the Policy names, and the setting's."""
        names = self._spec("Policy").get("notices", {}).get("ops") or ()
        found = [each for name in names for each in self._distribution(name, "")]
        if self.webhook:
            found.append(Listener(who="BOE_NOTICE_URL", channel=WEBHOOK))
        return found

    @cached_property
    def policy(self) -> PolicySpec:
        """What is allowed; a Policy that says nothing where there is none."""
        return PolicySpec.model_validate(dict(self._spec("Policy")))

    def reached_through(self, name: str | None) -> Mapping[str, Any]:
        """A Connection, and those it falls back on, as they are in the Environment."""
        if name is None:
            return {}
        first = self._connection(name)
        names = (name, *getattr(first, "fallback", ()))
        return {each: self._connection(each) for each in names}

    def mailboxes(self) -> Iterator[tuple[str, Any]]:
        """Connections that say where news of their mails arrives; each place once."""
        seen = set()
        for kind, name in self._by_key:
            found = self._connection(name) if kind == "Connection" else None
            bounces = getattr(found, "bounces", None)
            where = str(bounces)
            if bounces is not None and where not in seen:
                seen.add(where)
                yield name, found

    def _connection(self, name: str) -> Any:
        overlay = self._environment.get("connections", {}).get(name) or {}
        data = _laid(overlay, self._spec("Connection", name))
        if not data:
            todo = "`boe status` says what is served"
            raise Permanent("no_connection", f"there is no Connection {name} now", todo)
        return CONNECTIONS[data["type"]].model_validate(data)

    # --- Who is named -------------------------------------------------------------

    def _notify(self, schedule: str) -> Sequence[str]:
        named: Sequence[str] = self._field(schedule, "notify") or ()
        return named or [self._owner("Schedule", schedule)]

    def _approvers(self, one: Trouble) -> Sequence[str]:
        """Who may release what waits for an approval."""
        if (one.kind, one.cause) != (Kind.HOLD, HoldKind.APPROVAL):
            return ()
        approval: Mapping[str, Any] = self._field(one.schedule, "approval") or {}
        return [*approval.get("by", ())]

    def _field(self, schedule: str, name: str) -> Any:
        """What a Schedule says itself, or what lies under it."""
        spec = self._spec("Schedule", schedule)
        under = (
            self._spec("ScheduleTemplate", spec.get("template") or ""),
            self._spec("Policy").get("defaults") or {},
        )
        return next((each[name] for each in (spec, *under) if name in each), None)

    def _owner(self, kind: str, name: str) -> str:
        return str(self._data(kind, name).get("metadata", {}).get("owner") or "")

    def _named(self, names: Sequence[str], schedule: str) -> Iterator[Listener]:
        for name in names:
            if "@" in name:
                yield from self._mails(_addresses(name), schedule)
            elif ("Distribution", name) in self._by_key:
                yield from self._distribution(name, schedule)
            else:
                yield from self._mails(self._members(name), schedule)

    def _members(self, group: str) -> Iterator[str]:
        """Those who have not left."""
        for member in self._spec("Group", group).get("members") or ():
            listed = member if isinstance(member, Mapping) else {"email": member}
            until = listed.get("until")
            if until is None or date.fromisoformat(str(until)) >= self.today:
                yield from _addresses(str(listed["email"]))

    def _distribution(self, name: str, schedule: str) -> Iterator[Listener]:
        spec = self._spec("Distribution", name)
        inputs = {
            key: each.get("default") for key, each in (spec.get("inputs") or {}).items()
        }
        for target in spec.get("destinations") or ():
            if target["type"] == "email":
                people = self._recipients(target, inputs)
                yield from self._mails(people, schedule, target["connection"])
            elif target["type"] == "webhook":
                yield Listener(
                    who=f"{name}/{target.get('name') or 'webhook'}",
                    channel=OPS,
                    connection=target.get("connection"),
                    url=target.get("url"),
                )

    def _recipients(self, target: Any, inputs: Mapping[str, Any]) -> Iterator[str]:
        for role in ("to", "cc", "bcc"):
            value = target.get(role) or []
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Mapping):
                    yield from self._members(one["group"])
                else:
                    yield from _rendered(one, inputs)

    def _mails(
        self, people: Iterator[str], schedule: str, connection: str | None = None
    ) -> Iterator[Listener]:
        through = connection or self.mail_connection(schedule)
        if through is not None:
            domains = self.policy.allow.email_domains
            for address in people:
                if refusal(address, domains) is None:
                    yield Listener(who=address, channel=MAIL, connection=through)

    # --- How they are reached -----------------------------------------------------

    def mail_connection(self, schedule: str) -> str | None:
        """Of the ops channel, else of the Schedule's own mails, else the only one."""
        ops = self._spec("Policy").get("notices", {}).get("ops") or ()
        targets = [
            *(one for name in ops for one in self._targets(name)),
            *self._targets_of(schedule),
        ]
        for one in targets:
            if one.get("type") == "email":
                return str(one["connection"])
        known = [
            name
            for (kind, name), data in self._by_key.items()
            if kind == "Connection" and data["spec"].get("type") in _MAIL_TYPES
        ]
        return known[0] if len(known) == 1 else None

    def _targets(self, distribution: str) -> Sequence[Any]:
        found: Sequence[Any] = self._spec("Distribution", distribution).get(
            "destinations", ()
        )
        return found

    def _targets_of(self, schedule: str) -> Iterator[Any]:
        for one in self._spec("Schedule", schedule).get("deliver_to") or ():
            name = one if isinstance(one, str) else one.get("distribution")
            yield from self._targets(name) if name else [one]

    # --- Where an Environment sends it --------------------------------------------

    def _redirected(self, found: Sequence[Listener]) -> Iterator[Listener]:
        """As deliveries: nobody outside is told of the troubles of a rehearsal."""
        redirect = self._environment.get("redirect")
        if redirect is None:
            yield from found
            return
        kept = redirect.get("others") == "deliver"
        for one in found:
            if one.channel == MAIL and redirect.get("email"):
                yield Listener(
                    who=redirect["email"], channel=MAIL, connection=one.connection
                )
            elif kept or one.channel == WEBHOOK:
                # The setting is the operator's own, for this installation alone.
                yield one

    # --- Small words --------------------------------------------------------------

    @cached_property
    def _environment(self) -> Mapping[str, Any]:
        return self._spec("Environment", self.served.environment or "")

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        return {(one.kind, one.name): one.data for one in self.served.objects}

    def _data(self, kind: str, name: str) -> Mapping[str, Any]:
        return self._by_key.get((kind, name), {})

    def _spec(self, kind: str, name: str = "") -> Mapping[str, Any]:
        """Of the one Policy whatever its name."""
        if kind == "Policy":
            name = next((key[1] for key in self._by_key if key[0] == kind), "")
        found: Mapping[str, Any] = self._data(kind, name).get("spec") or {}
        return found


def _addresses(text: str) -> Iterator[str]:
    """`Anna <anna@example.com>` is anna@example.com; one mailbox has one spelling."""
    for found in addresses_in(text):
        if address_flaw(found[0]) is None:
            yield "@".join(folded(found[0]))


def _rendered(text: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """Nobody, where only a run of a report could tell who that is."""
    try:
        yield from _addresses(render(text, {"inputs": inputs}))
    except TemplateError:
        return


def _laid(over: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """Maps merge, null removes; a reference to a secret is one thing."""
    found = {**under, **over}
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            reference = len(value) == 1 and {*value} <= {"env", "file", "sops"}
            found[key] = value if reference else _laid(value, below)
    return {key: value for key, value in found.items() if value is not None}
