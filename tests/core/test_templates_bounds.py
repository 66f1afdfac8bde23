"""No template takes long, and none makes a text of any length."""

from __future__ import annotations

import pytest

from boe_reconciler.core.templates import MAX_ROUNDS, TemplateError, render

CONTEXT = {"x": "a" * 200, "rows": list(range(MAX_ROUNDS + 1)), "few": [[1, 2], [3]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{{ x | replace('a', x) | replace('a', x) | replace('a', x) }}",
            "more than 100,000",
        ),
        ("{{ x | list | join(x) | list | join(x) }}", "more than 100,000"),
        ("{{ x.replace('a', x) }}", "unsafe"),
        ("{{ x.join(x) }}", "unsafe"),
        ("{{ x.format() }}", "unsafe"),
        ("{{ x.ljust(99) }}", "unsafe"),
        ("{{ x.upper }}", '"upper" is a function'),
        ("{% set y = x ~ x %}{{ y ~ y }}", "there is no assign here"),
        ("{% macro y() %}{% endmacro %}", "there is no macro here"),
        ("{% for r in rows %}{% endfor %}", "at most 1,000 times"),
        ("{% for a in x recursive %}{{ loop(x) }}{% endfor %}", "nested at most 2"),
        (
            "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
            "nested at most 2",
        ),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "recursion"),
        ("{{ [1] * 9 }}", "numbers"),
        ("{{ few[9] }}", "has no element 9"),
    ],
)
def test_what_would_grow_or_last_is_refused(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render(text, CONTEXT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 'EMEA north' | replace(' ', '_') }}", "EMEA_north"),
        ("{{ few[0] | join(', ') }}", "1, 2"),
        ("{{ 'x'.upper() }}", "X"),
        (
            "{% for r in few %}{% for c in r %}{{ c }};{% endfor %}{% else %}none{% endfor %}",
            "1;2;3;",
        ),
    ],
)
def test_what_people_need_works(text: str, expected: str) -> None:
    assert render(text, CONTEXT) == expected
