"""A claimed benefit with its figures, and the table that all of them make."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


@dataclass(frozen=True)
class Claim:
    """What is claimed, what was measured, and how it is to be read.

    `rows` are (what, figure) as they are printed, `figures` the same for programs and pictures.
    """

    name: str
    rows: list[tuple[str, str]]
    reading: str
    figures: dict[str, Any]


def print_claims(claims: list[Claim]) -> None:
    """One table on the terminal, a section a claim, with its reading."""
    table = Table("measured", Column("figure", no_wrap=True))
    for claim in claims:
        table.add_row(Text(claim.name, style="bold"), "")
        for what, figure in claim.rows:
            table.add_row(Text(what), Text(figure))
        table.add_row(Text(claim.reading, style="italic"), "")
        table.add_section()
    Console().print(table)
