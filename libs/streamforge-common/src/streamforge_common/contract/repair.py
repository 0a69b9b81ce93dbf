"""What a repair loads: the ranges of ids that a dataset lacks, carried by the `options` of a `start` command."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from streamforge_common.contract.commands import Command

RANGES_MAX = 200
"""Some 8 KB in a command, which is told, noted in the audit trail and kept with the workflow."""

IdRange = tuple[int, int]
"""Ids in [from, to)."""


class Repair(BaseModel):
    """What an attempt loads in place of the whole dataset."""

    model_config = ConfigDict(frozen=True)

    number: int
    """The attempt that began it: what goes on with it, after a `retry`, knows the place by this number."""
    ranges: Annotated[list[IdRange], Field(min_length=1, max_length=RANGES_MAX)]
    """Sorted, without overlaps."""

    @classmethod
    def of(cls, start: Command) -> "Repair | None":
        """Read a `start` command; None where it asks for the whole dataset.

        Raises:
            ValueError: Its options hold something else under that name.
        """
        told = start.options.get("repair")
        return None if told is None else cls.model_validate(told)
