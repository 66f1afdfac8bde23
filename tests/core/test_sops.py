"""A reference to an encrypted file means its bytes, wherever it was written."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from boe_reconciler.core.plan import Plan
from boe_reconciler.core.plan.online import questions
from boe_reconciler.core.plan.sops import MOST
from tests.revisions import GOOD, Ledger, a_document, plan_of

FILE, OTHER = b"db: ENC[AES256_GCM,data:1]\nsops: {}\n", b"db: ENC[AES256_GCM,data:2]"


def postgres(password: str) -> str:
    spec = f"{{type: postgres, host: h, database: d, user: u, password: {password}, "
    spec += "blackouts: [{cron: '0 2 * * *', duration: 1h, timezone: UTC}]}"
    return a_document("Connection", "db", spec)


def spec_of(plan: Plan, name: str = "daily") -> Any:
    return plan.schedules[name].spec


def pinned(content: bytes, path: str, key: str = "db.password") -> str:
    return f"{hashlib.sha256(content).hexdigest()}:{path}#{key}"


def good(**more: Any) -> dict[str, Any]:
    return {
        **GOOD,
        "connections/db.yaml": postgres("{sops: ../secrets/secret.yaml#db.password}"),
        "secrets/secret.yaml": FILE,
        **more,
    }


def test_a_run_has_the_encrypted_file_and_knows_its_bytes() -> None:
    plan = plan_of(good())
    assert plan.problems == []
    spec = spec_of(plan)
    assert spec.connection.password.sops == pinned(FILE, "secrets/secret.yaml")
    sha256 = spec.files["secrets/secret.yaml"]
    assert plan.blobs[sha256] == FILE
    again = type(spec).model_validate_json(spec.model_dump_json(by_alias=True))
    assert again == spec


def test_an_edit_of_the_encrypted_file_is_an_edit_of_the_run() -> None:
    ledger = Ledger()
    before = spec_of(ledger.step(good()))
    after = spec_of(ledger.step(good(**{"secrets/secret.yaml": OTHER})))
    assert before.digest != after.digest
    assert after.connection.password.sops == pinned(OTHER, "secrets/secret.yaml")
    assert ledger.read(after.files["secrets/secret.yaml"]) == OTHER


def test_a_list_of_references_and_a_ping_are_pinned() -> None:
    webhook = (
        "{type: webhook, url: 'https://example.com', secret: [{sops: ../s.env#A}]}"
    )
    content = {
        **GOOD,
        "connections/w.yaml": a_document("Connection", "w", webhook),
        "s.env": b"A=ENC[AES256_GCM,]",
    }
    content["schedules/daily.yaml"] += "  ping: {sops: ../s.env#A}\n"
    plan = plan_of(content)
    assert plan.problems == []
    assert spec_of(plan).ping.sops == pinned(b"A=ENC[AES256_GCM,]", "s.env", "A")
    assert list(spec_of(plan).files) == ["s.env"]
    assert plan.objects["Connection", "w"].files.keys() == {"s.env"}


def test_an_environment_has_an_encrypted_file_of_its_own() -> None:
    overlay = """
    connections: {db: {password: {sops: staging.enc#data}}}
    redirect: {local: x}
    """
    content = good(
        **{
            "environments/staging.yaml": a_document("Environment", "staging", overlay),
            "environments/staging.enc": OTHER,
        }
    )
    plan = plan_of(content, environment="staging")
    assert plan.problems == []
    spec = spec_of(plan)
    assert spec.connection.password.sops == pinned(
        OTHER, "environments/staging.enc", "data"
    )
    kept = a_document("Environment", "staging", "connections: {db: {host: x}}")
    content["environments/staging.yaml"] = kept
    spec = spec_of(plan_of(content, environment="staging"))
    assert spec.connection.password.sops == pinned(FILE, "secrets/secret.yaml")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "BOE103"),
        (b"db: {password: canary}", "BOE172"),
        (b"ENC[AES256_GCM," + b"x" * MOST, "BOE172"),
    ],
)
def test_a_file_that_is_none_of_sops_is_told_where_it_is_named(
    content: bytes | None, code: str
) -> None:
    found = good()
    del found["secrets/secret.yaml"]
    if content is not None:
        found["secrets/secret.yaml"] = content
    (problem,) = plan_of(found).problems
    assert problem.code == code
    assert problem.path == ("spec", "password", "sops")
    assert problem.range.filename == "connections/db.yaml"
    assert "canary" not in str(problem)


def test_a_ping_whose_file_is_not_there_is_a_problem() -> None:
    content = dict(GOOD)
    content["schedules/daily.yaml"] += "  ping: {sops: nope.yaml#a}\n"
    assert [one.code for one in plan_of(content).problems] == ["BOE103"]


def test_the_file_behind_a_password_is_pinned_and_asked() -> None:
    more = "  export: {format: pdf, password: {sops: ../secrets/secret.yaml#db}}\n"
    content = good()
    content["schedules/daily.yaml"] += more
    plan = plan_of(content)
    spec = spec_of(plan)
    pinned = spec.export.password.sops
    assert pinned == f"{spec.files['secrets/secret.yaml']}:secrets/secret.yaml#db"
    assert plan.world
    paths = [one.path for one in questions(plan.world)]
    assert ("spec", "export", "password") in paths


def test_a_password_that_is_not_there_is_a_problem() -> None:
    content = dict(GOOD)
    content["schedules/daily.yaml"] += "  export: {password: {sops: nope.yaml#a}}\n"
    assert [one.code for one in plan_of(content).problems] == ["BOE103"]


def test_a_view_may_be_called_sops() -> None:
    duck = "{type: duckdb, files: {sops: x.csv}}"
    content = {**GOOD, "connections/db.yaml": a_document("Connection", "db", duck)}
    assert spec_of(plan_of(content)).connection.files == {"sops": "x.csv"}


def test_each_secret_is_asked_before_its_connection() -> None:
    webhook = (
        "{type: webhook, url: 'https://example.com', secret: [{env: A}, {env: B}]}"
    )
    plan = plan_of(
        good(**{"connections/w.yaml": a_document("Connection", "w", webhook)})
    )
    assert plan.world
    found = questions(plan.world)
    assert [(one.document.name, one.path) for one in found] == [
        ("db", ("spec", "password")),
        ("db", ("spec", "host")),
        ("w", ("spec", "secret", 0)),
        ("w", ("spec", "secret", 1)),
        ("w", ("spec", "url")),
    ]
    assert list(found[-1].needs) == found[2:4]
