"""Report: what is exported: a query or a workbook of queries over one Connection."""

from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import Field, Model
from boe_reconciler.core.resources.types import (
    FILL_PATTERN,
    SHEET_PATTERN,
    TRANSFORM_PATTERN,
    Line,
    Name,
)

ParameterType = Literal[
    "string", "int", "decimal", "bool", "date", "datetime", "enum", "list"
]
SheetName = Annotated[str, Field(pattern=SHEET_PATTERN, min_length=1, max_length=31)]


class Parameter(Model):
    type: ParameterType = Field(
        description="What a value is; text that a Schedule gives is read strictly as "
        "this type. A list is text with commas, or a YAML list."
    )
    required: bool = Field(False, description="Whether each Schedule has to give it.")
    default: Any = Field(None, description="Used where a Schedule gives none.")
    values: list[str] | None = Field(
        None, description="The possible values of an enum, or of a list's entries."
    )


class Column(Model):
    title: Line | None = Field(
        None, description="The header that people see (the column's name)."
    )
    format: Line | None = Field(
        None, description='A number or date format, such as "#,##0.00".'
    )
    width: float | None = Field(
        None, gt=0, le=255, description="Width of a workbook's column, in characters."
    )
    hidden: bool = Field(False, description="Leave the column out of what people see.")


class Sheet(Model):
    name: SheetName = Field(description="The name on the sheet's tab.")
    query: str | None = Field(None, min_length=1, description="The query of its rows.")
    query_file: str | None = Field(
        None, min_length=1, description="A file that holds the query."
    )
    columns: dict[str, Column] = Field(
        {}, description="Column of the query to how it looks."
    )
    fill: str | None = Field(
        None,
        pattern=FILL_PATTERN,
        description='Where in the template the rows go: "table:NAME" or "range:NAME".',
    )


class Workbook(Model):
    template: str | None = Field(
        None,
        min_length=1,
        description="An .xlsx file of the repo; its other parts (charts, pictures, "
        "pivots) stay byte for byte as they are.",
    )
    sheets: list[Sheet] = Field(min_length=1, description="The sheets, in their order.")


class Check(Model):
    name: Line = Field(description="What is checked, in words: stands in the notice.")
    query: str = Field(
        min_length=1,
        description="Must return no row, else the run fails and nothing leaves.",
    )


class ReportSpec(Model):
    connection: Name = Field(description="A Connection of a database type.")
    query: str | None = Field(
        None,
        min_length=1,
        description="One SELECT-like statement; parameters are bound, as in `:month`.",
    )
    query_file: str | None = Field(
        None, min_length=1, description="A file of the repo that holds the query."
    )
    workbook: Workbook | None = Field(
        None,
        description="Several sheets, with or without a template; instead of a query.",
    )
    parameters: dict[str, Parameter] = Field(
        {}, description="Name to definition of what the queries take."
    )
    columns: dict[str, Column] = Field(
        {}, description="Column of the query to how it looks."
    )
    checks: list[Check] = Field(
        [], description="Queries that must find nothing before anything leaves."
    )
    transform: str | None = Field(
        None,
        pattern=TRANSFORM_PATTERN,
        description="`module:function`, pandas DataFrame in and out; the module is a "
        "file from the root of the repo. Runs in a process without secrets, and only "
        "where Policy lists its path.",
    )
    max_rows: int | None = Field(
        None, ge=1, description="More rows than this are too many (Policy's limit)."
    )
    on_too_many: Literal["fail", "split"] = Field(
        "fail", description="What becomes of too many rows: a failed run, or parts."
    )
