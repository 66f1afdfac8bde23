"""An Environment: other Connections, and deliveries that go elsewhere or nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan import Plan, PlanCache, served_plan, unusable
from boe_reconciler.core.plan.check_environment import Overlay
from boe_reconciler.core.plan.redirect import redirected
from boe_reconciler.core.resources.distribution import EmailDestination
from boe_reconciler.core.resources.others import Redirect
from boe_reconciler.core.spec import PlannedDestination
from tests.revisions import GOOD, NOW, Ledger, a_document, plan_of

KEY = ("Environment", "staging")
CONNECTION = """
type: postgres
host: db.internal
database: d
user: u
password: {file: /run/secrets/db}
session: {work_mem: 64MB, jit: "on"}
"""
OVERLAY = """
connections:
  db: {host: staging.internal, password: {env: STAGING}, session: {jit: null}}
redirect: {local: staging}
"""


def files(overlay: str = OVERLAY, **more: str) -> dict[str, str]:
    return {
        **GOOD,
        "connections/db.yaml": a_document("Connection", "db", CONNECTION),
        "environments/staging.yaml": a_document("Environment", "staging", overlay),
        **more,
    }


def staging(content: dict[str, str], **options: Any) -> Plan:
    return plan_of(content, environment="staging", **options)


def spec_of(plan: Plan) -> Any:
    return plan.schedules["daily"].spec


def codes(plan: Plan) -> list[str]:
    return [problem.code for problem in plan.problems]


# --- Connections ------------------------------------------------------------------


def test_an_overlay_counts_where_its_environment_is_asked_for() -> None:
    connection = spec_of(staging(files())).connection
    assert connection.host == "staging.internal"
    assert connection.database == "d"
    assert connection.session == {"work_mem": "64MB"}
    assert spec_of(plan_of(files())).connection.host == "db.internal"


def test_a_reference_to_a_secret_takes_the_place_of_another() -> None:
    spec = spec_of(staging(files()))
    assert spec.connection.model_dump(mode="json")["password"] == {"env": "STAGING"}


def test_names_that_look_like_references_are_still_merged() -> None:
    content = files("connections: {db: {files: {file: b.csv}}}\nredirect: {local: x}")
    duck = "{type: duckdb, files: {env: a.csv}}"
    content["connections/db.yaml"] = a_document("Connection", "db", duck)
    connection = spec_of(staging(content)).connection
    assert connection.files == {"env": "a.csv", "file": "b.csv"}


def test_null_takes_a_whole_map_away() -> None:
    content = files("connections: {db: {session: null}}\nredirect: {local: x}")
    assert spec_of(staging(content)).connection.session == {}


def test_a_database_may_be_another_type_of_database() -> None:
    overlay = """
    connections:
      db: {type: duckdb, host: null, database: null, user: null, password: null, session: null}
    redirect: {local: staging}
    """
    assert spec_of(staging(files(overlay))).connection.type == "duckdb"


def test_a_run_says_which_environment_it_belongs_to() -> None:
    plan = staging(files())
    assert (spec_of(plan).environment, plan.activation.environment) == (
        "staging",
        "staging",
    )
    assert spec_of(plan_of(files())).environment is None


# --- Destinations -----------------------------------------------------------------


def destinations(redirect: str) -> list[Any]:
    content = files(f"redirect: {redirect}" if redirect else "{}")
    targets = "[{type: local, base_path: exports}]"
    content["distributions/archive.yaml"] = a_document(
        "Distribution", "archive", f"destinations: {targets}"
    )
    return list(spec_of(staging(content)).destinations)


def test_without_a_redirect_all_is_delivered_and_that_is_warned_of() -> None:
    (only,) = destinations("")
    assert (only.spec.base_path, only.left_out_by) == ("exports", None)
    plan = staging(files("{}"))
    (told,) = (one for one in plan.problems if one.code == "BOE175")
    assert (told.severity, told.range.filename) == (
        "warning",
        "environments/staging.yaml",
    )
    said = staging(files("redirect: {others: deliver}"))
    assert "BOE175" not in {one.code for one in said.problems}


def test_what_is_not_redirected_is_left_out() -> None:
    for redirect in ("{email: test@example.com}", "{others: drop}"):
        (only,) = destinations(redirect)
        assert only.left_out_by == "staging"


def test_what_is_redirected_goes_below_its_folder() -> None:
    (only,) = destinations("{local: staging/}")
    assert (only.spec.base_path, only.redirected_by) == ("staging/exports", "staging")
    assert only.left_out_by is None


def test_an_environment_may_deliver_as_it_stands() -> None:
    (only,) = destinations("{others: deliver}")
    assert (only.spec.base_path, only.left_out_by) == ("exports", None)


def test_an_absolute_folder_is_redirected_below_the_same_folder() -> None:
    content = files(
        "redirect: {local: staging}",
        **{
            "policy.yaml": a_document(
                "Policy", "policy", "allow: {local_roots: [., /srv]}"
            ),
            "distributions/archive.yaml": a_document(
                "Distribution",
                "archive",
                "destinations: [{type: local, base_path: /srv}]",
            ),
        },
    )
    (only,) = spec_of(staging(content)).destinations
    assert only.spec.base_path == "staging/srv"


def test_mail_goes_to_one_address_alone() -> None:
    mail = EmailDestination.model_validate(
        {
            "type": "email",
            "connection": "m",
            "to": "{{ inputs.to }}",
            "cc": ["cfo@example.com"],
            "bcc": [{"group": "board"}],
            "subject": "Sales",
        }
    )
    planned = PlannedDestination(key="mail", distribution=None, spec=mail)

    def there(**redirect: Any) -> PlannedDestination:
        return redirected(
            planned,
            Overlay(
                environment="staging",
                connections={},
                documents={},
                redirect=Redirect(**redirect),
            ),
        )

    sent = there(email="test@example.com")
    assert sent.spec.type == "email"
    assert (sent.spec.to, sent.spec.cc, sent.spec.bcc) == (["test@example.com"], [], [])
    assert sent.redirected_by == "staging"
    assert there(local="x").left_out_by == "staging"


@pytest.mark.parametrize(("redirect", "pinged"), [("drop", False), ("deliver", True)])
def test_who_watches_production_is_not_told_of_other_runs(
    redirect: str, pinged: bool
) -> None:
    content = files(f"redirect: {{local: x, others: {redirect}}}")
    content["schedules/daily.yaml"] += "  ping: https://example.com/x\n"
    assert (spec_of(staging(content)).ping is not None) == pinged
    assert spec_of(plan_of(content)).ping is not None


# --- Never production by accident -------------------------------------------------


def test_an_unknown_environment_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match='no Environment "stagin"') as error:
        plan_of(files(), environment="stagin")
    assert "staging" in error.value.help
    with pytest.raises(InputError) as error:
        plan_of(GOOD, environment="x")
    assert "There is none." in error.value.help


def test_an_environment_that_cannot_be_used_serves_no_schedule() -> None:
    plan = staging(files("connections: {db: {host: 1}}\nredirect: {local: x}"))
    assert plan.schedules == {}
    assert [(one.kind, one.name) for one in plan.problems] == [KEY]
    told = unusable(plan)
    assert told
    assert str(plan.problems[0]) in told.message
    assert unusable(staging(files())) is None
    assert unusable(plan_of(files())) is None


def test_an_environment_that_cannot_be_read_serves_no_schedule() -> None:
    content = files()
    content["environments/staging.yaml"] = "kind: [Environment"
    plan = staging(content)
    assert plan.schedules == {}
    assert unusable(plan)
    del content["environments/staging.yaml"]
    unreadable = {"environments/staging.yaml": "no right to read it"}
    assert staging(content, unreadable=unreadable).schedules == {}


def test_a_broken_environment_keeps_its_old_overlay() -> None:
    ledger = Ledger()
    ledger.step(files(), environment="staging")
    content = files("connections: {db: {host: 1}}")
    content["connections/db.yaml"] += "  port: 5433\n"
    plan = ledger.step(content, environment="staging")
    connection = spec_of(plan).connection
    assert (connection.host, connection.port) == ("staging.internal", 5433)
    assert ledger.served
    again = served_plan(ledger.served, now=NOW, read_blob=ledger.read)
    assert spec_of(again) == spec_of(plan)
    assert again.activation.environment == "staging"


def test_a_removed_environment_goes_on_as_it_was() -> None:
    ledger = Ledger()
    ledger.step(files(), environment="staging")
    content = files()
    del content["environments/staging.yaml"]
    content["schedules/daily.yaml"] += "  paused: true\n"
    plan = ledger.step(content, environment="staging")
    assert codes(plan) == ["BOE170"]
    assert spec_of(plan).connection.host == "staging.internal"
    assert plan.schedules["daily"].paused
    assert codes(ledger.step(files(), environment="staging")) == []


def test_what_an_environment_needs_comes_back_with_it() -> None:
    ledger = Ledger()
    ledger.step(files(), environment="staging")
    content = files()
    content["connections/db.yaml"] = a_document("Connection", "db", "type: nope")
    plan = ledger.step(content, environment="staging")
    assert spec_of(plan).connection.host == "staging.internal"


def test_one_cache_serves_plans_of_several_environments() -> None:
    cache, content = PlanCache(), files()
    hosts = [
        spec_of(plan_of(content, environment=name, cache=cache)).connection.host
        for name in (None, "staging", None, "staging")
    ]
    assert hosts == ["db.internal", "staging.internal"] * 2
