"""To whom a destination delivers on a day: at the export, and again before each try."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.language.addresses import address_flaw, addresses_in, folded
from boe_reconciler.core.prepare import INPUTS, Binding
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.distribution import GroupRef
from boe_reconciler.core.resources.others import GroupSpec, Member
from boe_reconciler.core.spec import PlannedDestination, RunSpec
from boe_reconciler.core.templates import TemplateError, render

#: The recipient of what is no mail.
NOBODY = "-"
#: The fields of a mail that name people.
ROLES = ("to", "cc", "bcc")
#: What tells a far side from another; a folder or a prefix may be moved.
_FAR_SIDE = ("type", "connection", "bucket", "container", "url")
#: What a template gives for an input without a value, or with an empty list.
_NONE = ("", "None", "[]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    address: str = NOBODY
    #: Where a mail names it: "to", "cc" or "bcc"; "" for what is no mail.
    role: str = ""
    #: The Group through which somebody gets it.
    group: str | None = None
    #: The last day on which they do.
    until: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """What decides who is meant, apart from the destination itself."""

    groups: Mapping[str, GroupSpec]
    #: What templates see, without `inputs`.
    context: Mapping[str, Any]
    #: Of a Group, only those who have not left by then.
    day: date
    #: What stands for a template that cannot be filled in yet; None: that is an error.
    unknown: Callable[[str], str] | None = None


def recipients(planned: PlannedDestination, people: People) -> list[Recipient]:
    """Each mailbox once, under the first field that names it; in their order.

    Permanent `inputs_invalid` or `recipients_invalid` where a template does not give
    what it should.
    """
    if planned.spec.type != "email":
        return [Recipient()]
    lenient = people.unknown is not None
    inputs = inputs_of(planned, people.context, lenient=lenient)
    context = {**people.context, "inputs": inputs}
    found: dict[tuple[str, str], Recipient] = {}
    for role in ROLES:
        for one in _named(getattr(planned.spec, role), role, people, context):
            found.setdefault(folded(one.address), one)
    return list(found.values())


def inputs_of(
    planned: PlannedDestination, context: Mapping[str, Any], *, lenient: bool = False
) -> dict[str, Any]:
    """The values of its Distribution's inputs for this run.

    Permanent `inputs_invalid`; `lenient`: what has no right value is left out.
    """
    binding = Binding(definitions=planned.declared, context=context, words=INPUTS)
    values, findings = binding.bind(planned.inputs)
    for finding in findings:
        if not lenient:
            at = ".".join(("inputs", *map(str, finding.path)))
            raise Permanent("inputs_invalid", f"{at}: {finding.detail}.", finding.help)
        values.pop(str(finding.path[0]) if finding.path else "", None)
    return values


def _named(
    value: Any, role: str, people: People, context: Mapping[str, Any]
) -> Iterator[Recipient]:
    for one in value if isinstance(value, list) else [value or ""]:
        if isinstance(one, GroupRef):
            yield from _members(one.group, role, people)
        else:
            for address in _addresses(one, people, context):
                yield Recipient(address=address, role=role)


def _members(name: str, role: str, people: People) -> Iterator[Recipient]:
    group = people.groups.get(name)
    for each in group.members if group else ():
        member = each if isinstance(each, Member) else Member(email=each)
        if member.until is None or member.until >= people.day:
            yield Recipient(
                address=_bare(member.email), role=role, group=name, until=member.until
            )


def _addresses(text: str, people: People, context: Mapping[str, Any]) -> list[str]:
    """Those in a text, or that its template gives; what is none stays as it is."""
    try:
        given = render(text, context)
    except TemplateError as error:
        if people.unknown is not None:
            return [people.unknown(text)]
        raise Permanent("recipients_invalid", error.message, error.help) from None
    found = [match[0] for match in addresses_in(given)]
    return found or [left for left in (given.strip(),) if left not in _NONE]


def _bare(text: str) -> str:
    """`Anna <anna@example.com>` is anna@example.com."""
    return next((found[0] for found in addresses_in(text)), text)


# --- Who gets nothing -------------------------------------------------------------


def too_many(found: Iterable[str], most: int | None) -> str:
    """What is wrong with so many addresses, or ""."""
    count = len({folded(one) for one in found if one != NOBODY})
    if most is None or count <= most:
        return ""
    return f"{count} recipients; the Policy allows {most} (limits.max_recipients)."


def refusal(address: str, domains: list[str] | None) -> tuple[str, str] | None:
    """Reason and sentence, where an address cannot be written to or may not."""
    flaw = address_flaw(address)
    if flaw:
        return "bad_address", f"{flaw.rstrip('.')}."
    domain = folded(address)[1]
    if domains is not None and all(domain != one.casefold() for one in domains):
        return "not_allowed", (
            f"The Policy does not allow mail to {domain} (allow.email_domains)."
        )
    return None


def with_links(spec: RunSpec) -> list[PlannedDestination]:
    """All destinations, then those that only mails link to."""
    links = [
        PlannedDestination(
            key=one.link.key, distribution=one.distribution, spec=one.link.spec
        )
        for one in spec.destinations
        if one.link is not None
    ]
    return [*spec.destinations, *links]


def same_place(planned: PlannedDestination, spec: RunSpec) -> PlannedDestination | None:
    """The destination of this key in another spec, if it leads to the same far side."""
    for one in with_links(spec):
        if one.key == planned.key and _far_side(one) == _far_side(planned):
            return one
    return None


def _far_side(planned: PlannedDestination) -> list[Any]:
    """A mail's are its recipients, whatever server takes it."""
    if planned.spec.type == "email":
        return ["email"]
    return [getattr(planned.spec, name, None) for name in _FAR_SIDE]
