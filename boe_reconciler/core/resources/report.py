"""Report: what is exported: a query or a workbook of queries over one Connection."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.types import Name

ParameterType = Literal[
    "string", "int", "decimal", "bool", "date", "datetime", "enum", "list"
]


class Parameter(Model):
    type: ParameterType
    required: bool = False
    default: Any = Field(None, description="Used when a Schedule gives none.")
    values: list[str] | None = Field(
        None, description="The values of an enum or a list."
    )


class Column(Model):
    title: str | None = Field(None, description="The header that people see.")
    format: str | None = Field(
        None, description='A number or date format, such as "#,##0.00".'
    )
    width: float | None = Field(None, gt=0, le=255, description="In characters.")
    hidden: bool = False


class Sheet(Model):
    name: str = Field(min_length=1, max_length=31)
    query: str | None = None
    query_file: str | None = None
    columns: dict[str, Column] = {}
    fill: str | None = Field(
        None,
        description='Where in the template the rows go: "table:NAME" or "range:NAME".',
    )


class Workbook(Model):
    template: str | None = Field(
        None, description="An .xlsx file whose other parts stay as they are."
    )
    sheets: list[Sheet] = Field(min_length=1)


class Check(Model):
    name: str
    query: str = Field(
        description="Must return no row, else the run fails and nothing leaves."
    )


class ReportSpec(Model):
    connection: Name = Field(description="A Connection of a database type.")
    query: str | None = Field(
        None, description="One SELECT; parameters are bound, as in :month."
    )
    query_file: str | None = Field(None, description="A file that holds the query.")
    workbook: Workbook | None = Field(
        None, description="Several sheets, or a template."
    )
    parameters: dict[str, Parameter] = {}
    columns: dict[str, Column] = {}
    checks: list[Check] = []
    transform: str | None = Field(
        None, description="module:function, DataFrame in and out."
    )
    max_rows: int | None = Field(None, ge=1)
    on_too_many: Literal["fail", "split"] = "fail"
