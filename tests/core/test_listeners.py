"""Who is told of a trouble, and by which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.listeners import Listener, Listeners
from boe_reconciler.core.spec import Served, ServedObject
from boe_reconciler.core.troubles import Kind, Trouble
from tests.core.test_troubles import a_trouble

MAILER = {"type": "smtp", "host": "mail.example.com"}
HOOK = {"type": "webhook", "url": "https://hooks.slack.com/services/x"}
OPS = {"spec": {"notices": {"ops": ["ops"]}}}


def mail(*to: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "email", "connection": "mailer", "to": [*to], **fields}


def listeners(
    objects: Mapping[str, Mapping[str, Any]],
    environment: str | None = None,
    *,
    webhook: bool = False,
) -> Listeners:
    """`objects` by "Kind name"; of a Schedule `daily` of ada, and a Connection."""
    known: dict[str, Mapping[str, Any]] = {
        "Schedule daily": {"metadata": {"owner": "ada@example.com"}, "spec": {}},
        "Connection mailer": {"metadata": {"owner": "dba@example.com"}, "spec": MAILER},
        **objects,
    }
    served = Served(
        attempted="x",
        serving="x",
        objects=[
            ServedObject(
                kind=key.split()[0],
                name=key.split()[1],
                file="x.yaml",
                index=0,
                data=data,
                revision="x",
            )
            for key, data in known.items()
        ],
        problems=(),
        environment=environment,
    )
    return Listeners(served=served, today=date(2026, 3, 1), webhook=webhook)


def who(found: Listeners, one: Trouble | None = None) -> list[str]:
    return [each.who for each in found.of(one or a_trouble())]


def schedule(owner: str = "ada@example.com", **spec: Any) -> dict[str, Any]:
    return {"Schedule daily": {"metadata": {"owner": owner}, "spec": spec}}


CREW = {
    "members": [
        "bob@example.com",
        {"email": "Leo <leo@example.com>", "until": "2026-03-01"},
        {"email": "gone@example.com", "until": "2026-02-28"},
    ]
}


def test_the_owner_is_told_where_nobody_is_named() -> None:
    assert who(listeners({})) == ["ada@example.com"]
    assert who(listeners(schedule(notify=None))) == ["ada@example.com"]
    assert who(listeners(schedule(notify=[]))) == ["ada@example.com"]
    group = {"Group crew": {"spec": CREW}, **schedule("crew")}
    assert who(listeners(group)) == ["bob@example.com", "leo@example.com"]
    assert who(listeners(schedule("finance"))) == []


def test_notify_names_people_groups_and_distributions_wherever_it_stands() -> None:
    objects = {
        "Group crew": {"spec": CREW},
        "Distribution pager": {"spec": {"destinations": [HOOK]}},
        "ScheduleTemplate nightly": {"spec": {"notify": ["crew"]}},
        "Policy policy": {"spec": {"defaults": {"notify": ["eve@example.com"]}}},
    }
    named = schedule(notify=["Eve@Example.com", "eve@example.com", "crew", "pager"])
    assert who(listeners({**objects, **named})) == [
        "eve@example.com",
        "bob@example.com",
        "leo@example.com",
        "pager/webhook",
    ]
    below = schedule(template="nightly")
    assert who(listeners({**objects, **below})) == [
        "bob@example.com",
        "leo@example.com",
    ]
    assert who(listeners(objects)) == ["eve@example.com"]


def test_nobody_is_mailed_outside_of_the_domains_that_policy_allows() -> None:
    allow = {"Policy policy": {"spec": {"allow": {"email_domains": ["example.com"]}}}}
    named = schedule(notify=["ada@example.com", "ada@elsewhere.com"])
    assert who(listeners({**allow, **named})) == ["ada@example.com"]


def test_who_may_release_is_told_what_waits() -> None:
    hold = a_trouble(kind=Kind.HOLD, cause="approval")
    approval = schedule(approval={"by": ["boss@example.com"]})
    assert who(listeners(approval), hold) == ["boss@example.com", "ada@example.com"]
    assert who(listeners(schedule(approval=None)), hold) == ["ada@example.com"]


def test_the_ops_channel_hears_of_everything() -> None:
    distribution = {
        "inputs": {"boss": {"type": "email", "default": "boss@example.com"}},
        "destinations": [
            mail("ops@example.com, {{ inputs.boss }}", {"group": "crew"}),
            mail(
                "{{ part.to }}",
                "no address, x@localhost",
                cc=None,
                bcc="{{ inputs.boss }}",
            ),
            {**HOOK, "name": "chat"},
            {"type": "local", "base_path": "x"},
        ],
    }
    objects = {
        "Group crew": {"spec": CREW},
        "Distribution ops": {"spec": distribution},
        "Policy policy": OPS,
    }
    ops = [
        "ops@example.com",
        "boss@example.com",
        "bob@example.com",
        "leo@example.com",
        "ops/chat",
        "BOE_NOTICE_URL",
    ]
    breaker = replace(a_trouble(), schedule="", subject="connection mailer")
    found = listeners(objects, webhook=True)
    assert who(found) == [*ops, "ada@example.com"]
    assert who(found, breaker) == ops
    assert found.of(breaker)[4] == Listener(
        who="ops/chat", channel="ops", url="https://hooks.slack.com/services/x"
    )


def test_without_an_ops_channel_the_owner_of_a_connection_is_told() -> None:
    breaker = replace(a_trouble(), schedule="", subject="connection mailer")
    assert who(listeners({}), breaker) == ["dba@example.com"]
    assert who(listeners({}), replace(breaker, subject="hold x")) == []


def test_mails_go_the_way_of_the_ops_channel_else_of_the_schedule() -> None:
    other = {"Connection other": {"spec": MAILER}}
    assert who(listeners(other)) == []
    own = schedule(deliver_to=[{"type": "local"}, mail("x@example.com")])
    (one,) = listeners({**other, **own}).of(a_trouble())
    assert (one.who, one.connection) == ("ada@example.com", "mailer")
    through = {
        "Distribution d": {"spec": {"destinations": [mail("x", connection="other")]}}
    }
    for target in ("d", {"distribution": "d"}):
        named = {**other, **through, **schedule(deliver_to=[target])}
        assert listeners(named).of(a_trouble())[0].connection == "other"
    policy = {"Policy p": OPS, "Distribution ops": {"spec": {"destinations": [HOOK]}}}
    assert listeners({**policy, **own}).of(a_trouble())[1].connection == "mailer"


def test_an_environment_redirects_what_people_are_told() -> None:
    objects = {
        "Policy p": OPS,
        "Distribution ops": {"spec": {"destinations": [HOOK, mail("o@example.com")]}},
    }

    def there(spec: Mapping[str, Any]) -> list[str]:
        known = {**objects, "Environment staging": {"spec": spec}}
        return who(listeners(known, "staging", webhook=True))

    assert there({"redirect": {"email": "me@example.com"}}) == [
        "me@example.com",
        "BOE_NOTICE_URL",
    ]
    assert there({"redirect": {"local": "x"}}) == ["BOE_NOTICE_URL"]
    all_ = ["ops/webhook", "o@example.com", "BOE_NOTICE_URL", "ada@example.com"]
    assert there({"redirect": {"local": "x", "others": "deliver"}}) == all_
    assert there({}) == all_


def test_a_connection_is_what_the_environment_makes_of_it() -> None:
    spec = {
        **MAILER,
        "user": "boe",
        "password": {"env": "MAIL_PASSWORD"},
        "rate_limit": {"per_second": 1.0, "per_session": 5},
        "fallback": ["second"],
    }
    overlay = {
        "user": None,
        "password": {"file": "/run/secret"},
        "rate_limit": {"per_second": 2.0},
    }
    objects = {
        "Connection mailer": {"spec": spec},
        "Connection second": {"spec": MAILER},
        "Environment staging": {"spec": {"connections": {"mailer": overlay}}},
    }
    found = listeners(objects, "staging")
    assert found.reached_through(None) == {}
    connections = found.reached_through("mailer")
    assert [*connections] == ["mailer", "second"]
    mailer = connections["mailer"]
    assert (mailer.user, mailer.password.file) == (None, "/run/secret")
    assert (mailer.rate_limit.per_second, mailer.rate_limit.per_session) == (2.0, 5)
    assert found.policy.notices.ops == []
    with pytest.raises(Permanent, match="no Connection gone"):
        found.reached_through("gone")


def test_each_place_where_bounces_arrive_is_read_once() -> None:
    bounces = {"bounces": {"maildir": "m"}}
    found = listeners(
        {
            "Connection mailer": {"spec": MAILER | bounces},
            "Connection other": {"spec": MAILER | bounces},
            "Connection third": {"spec": MAILER},
        }
    )
    [(name, spec)] = found.mailboxes()
    assert (name, spec.bounces.maildir) == ("mailer", "m")
