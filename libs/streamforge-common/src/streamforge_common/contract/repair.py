"""What a repair loads: the ranges of ids that a dataset lacks, carried by the `options` of a `start` command."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamforge_common.contract.commands import Command

RANGES_MAX = 200
"""Some 8 KB in a command, which is told, noted in the audit trail and kept with the workflow."""

IdRange = tuple[int, int]
"""Ids in [from, to)."""
IdRanges = Annotated[list[IdRange], Field(max_length=RANGES_MAX)]
"""Sorted, without overlaps."""


class Repair(BaseModel):
    """What an attempt loads in place of the whole dataset."""

    model_config = ConfigDict(frozen=True)

    number: int
    """The attempt that began it: what goes on with it, after a `retry`, knows the place by this number."""
    ranges: IdRanges = []
    """None of a basket."""
    symbols: dict[str, IdRanges] = {}
    """Of a basket: those that lack something, in its order, each with its ranges."""

    @model_validator(mode="after")
    def _says_what_to_load(self) -> Self:
        if not self.ranges and not (self.symbols and all(self.symbols.values())):
            raise ValueError("a repair needs ranges, of a basket symbols with theirs")
        return self

    def of_symbol(self, symbol: str) -> "Repair":
        """Return a basket's repair as that of one of its symbols."""
        return Repair(number=self.number, ranges=self.symbols[symbol])

    @classmethod
    def of(cls, start: Command) -> "Repair | None":
        """Read a `start` command; None where it asks for the whole dataset.

        Raises:
            ValueError: Its options hold something else under that name.
        """
        told = start.options.get("repair")
        return None if told is None else cls.model_validate(told)
