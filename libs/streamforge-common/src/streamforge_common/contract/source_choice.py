"""`options.source`: from where a range of history is loaded, where there is a choice."""

from collections.abc import Mapping
from enum import StrEnum

from streamforge_common.contract.data_types import Source

SOURCE_OPTION = "source"


class SourceChoice(StrEnum):
    """What a request says of it."""

    AUTO = "auto"
    """REST as far as it reaches and is quick enough, the archives for what is older."""
    REST = "rest"
    """REST alone."""
    DUMP = "dump"
    """The archives; REST for what they lack."""

    @classmethod
    def of(cls, source: Source, options: Mapping[str, object]) -> "SourceChoice":
        """Read the options of a dataset; without the option its type decides.

        Raises:
            ValueError: It is no choice, or not one of that type.
        """
        usual = cls.DUMP if source is Source.DUMP else cls.AUTO
        told = options.get(SOURCE_OPTION, usual)
        if told not in list(cls):
            raise ValueError(f"expected one of {', '.join(cls)}, not {told!r}")
        choice = cls(str(told))
        if source is Source.DUMP and choice is not cls.DUMP:
            raise ValueError(f"a dump type comes from the archives; ask for the api type of the kind to have {told!r}")
        return choice
