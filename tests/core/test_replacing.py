"""One address for another: of a file's bytes only those of the address change."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.replacing import replacement
from tests.revisions import a_snapshot

OLD, NEW = b"anna@example.com", b"bob.the.builder@example.com"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
HEAD = "apiVersion: boe/v1\nkind: Group\nmetadata: {name: x}\nspec:\n  members:\n"
#: How a member may be written; the word stands where an address does.
MEMBER = st.sampled_from(
    [
        "- WHO",
        "-   'WHO'   # says 'who'",
        '- "WHO"',
        "- {email: WHO, until: 2999-12-31}",
        '- {"email": "WHO"}',
        "- email:   WHO\n      until: 2999-12-31",
        "- >-\n      WHO",
        "- jo.WHO  # jo",
        "# - nobody\n    - WHO\n",
    ]
)


@given(
    members=st.lists(MEMBER, min_size=1, max_size=6),
    bom=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_nothing_but_the_address_changes(
    members: list[str], bom: bool, line_end: str
) -> None:
    text = HEAD + "".join(f"    {member}\n" for member in members)
    content = text.replace("\n", line_end).replace("WHO", OLD.decode()).encode()
    content = (b"\xef\xbb\xbf" if bom else b"") + content
    snapshot = a_snapshot({"groups/x.yaml": content})
    found = replacement(snapshot, "ANNA@example.com", NEW.decode(), now=NOW)
    expected = content.replace(b"jo." + OLD, b"JO").replace(OLD, NEW)
    expected = expected.replace(b"JO", b"jo." + OLD)
    assert found.sound
    assert found.files.get("groups/x.yaml", content) == expected
    changed = zip(content.splitlines(), expected.splitlines(), strict=True)
    assert len(found.edits) == sum(was != will for was, will in changed)


def test_an_error_that_was_there_before_does_not_make_a_replacement_unsound() -> None:
    text = HEAD + f"    - {OLD.decode()}\n  nobody: knows this field\n"
    snapshot = a_snapshot({"groups/x.yaml": text})
    found = replacement(snapshot, OLD.decode(), NEW.decode(), now=NOW)
    assert found.sound
    assert found.files == {"groups/x.yaml": text.encode().replace(OLD, NEW)}
