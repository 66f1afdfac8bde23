"""The rows that are exported: 12 columns as reports have them, in a DuckDB file."""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb

#: Text that file formats stumble over, and that every library compared here can write.
HOSTILE = (
    '=HYPERLINK("http://example.com")',
    "+1",
    "@SUM(A1)",
    "-",
    "",
    " ",
    " blanks at both ends ",
    "two\nlines",
    "tab\there",
    'a "quoted" word; a, list',
    "<b>&amp;</b> ]]> <!-- -->",
    "_x0041_ and _x005F_",
    "Zürich, Łódź, 東京, \u200f\u05e9\u05dc\u05d5\u05dd",
    "🙂👩\u200d👩\u200d👧 e\u0301",
    "00123",
    "1e5",
    "1,5",
    "NULL",
    "true",
    "2026-11-24",
    "'quoted'",
    "back\\slash",
)
#: What openpyxl refuses to write; BOE writes and is checked with it.
CONTROLS = (
    "bell\x07",
    "\x01start",
    "_x0007_\x07",
    "return\rhere",
    "\r\n",
    "\x1f",
    "\ufffe\uffff",
)

_CUSTOMERS = (
    "Smith & Sons",
    "Müller GmbH",
    "O'Brien Ltd",
    "Łódzkie Zakłady",
    "Acme <Europe>",
    "Northwind Traders",
    "Contoso",
    "Fabrikam",
)
_REGIONS = ("North", "South", "East", "West", "Central", "Overseas", "Online", "Other")
_ROWS = """
    CREATE TABLE rows AS SELECT
        i AS id,
        'ORD-' || lpad(i::VARCHAR, 9, '0') AS number,
        $customers[(i * 7919) % len($customers) + 1] || ' '
            || ((i * 104729) % 5000)::VARCHAR AS customer,
        $regions[(i * 31) % len($regions) + 1] AS region,
        ((i * 17) % 500)::INTEGER AS quantity,
        (((i * 48271) % 9999999) / 100)::DECIMAL(10, 2) AS price,
        (((i * 69621) % 99999999) / 100 - 500000)::DECIMAL(18, 2) AS total,
        ((i * 16807) % 100003) / 100003 AS discount,
        i % 3 = 0 AS paid,
        DATE '2020-01-01' + ((i * 13) % 2500)::INTEGER AS ordered,
        CASE WHEN i % 10 THEN TIMESTAMP '2020-01-01 00:00:00'
            + to_seconds((i * 7907) % 200000000) END AS shipped_at,
        CASE WHEN i % 40 = 0 THEN $hostile[(i // 40) % len($hostile) + 1]
            WHEN i % 4 = 0 THEN 'call back in week ' || (i % 53)::VARCHAR
            END AS note
    FROM range($rows) AS numbers(i)
"""
QUERY = "SELECT * FROM rows"


def make(database: Path, rows: int, *, controls: bool = False) -> None:
    """A table `rows`; with `controls` also text that openpyxl refuses."""
    with duckdb.connect(database) as connection:
        connection.execute(
            _ROWS,
            {
                "rows": rows,
                "customers": _CUSTOMERS,
                "regions": _REGIONS,
                "hostile": HOSTILE + CONTROLS if controls else HOSTILE,
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("--controls", action="store_true")
    given = parser.parse_args()
    make(given.database, given.rows, controls=given.controls)


if __name__ == "__main__":
    main()
