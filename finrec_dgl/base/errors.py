"""The exceptions: each says what was found, what was expected, where, and how to mend it."""

from __future__ import annotations


class FinrecError(Exception):
    """A failure that the library explains.

    Parameters: ``found`` (one sentence: what went wrong), and where they help ``expected``,
    ``where`` (file, row, column or option) and ``mend`` (what to do about it).
    ``exit_code`` is what the command line exits with: 1 for a failure of ours.
    """

    exit_code = 1

    def __init__(
        self,
        found: str,
        *,
        expected: str | None = None,
        where: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.found = found
        self.expected = expected
        self.where = where
        self.mend = mend
        super().__init__(self.render())

    def render(self) -> str:
        """The message as lines of text, one for each part that is known."""
        parts = (("expected", self.expected), ("where", self.where), ("mend", self.mend))
        return "\n".join([self.found, *(f"  {name}: {text}" for name, text in parts if text)])

    def to_mapping(self) -> dict[str, str | None]:
        """The same for machines."""
        return {
            "kind": type(self).__name__,
            "found": self.found,
            "expected": self.expected,
            "where": self.where,
            "mend": self.mend,
        }


class UsageError(FinrecError):
    """An option or argument that cannot be used (exit code 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration with unknown keys or values out of range (exit code 2)."""


class DataError(FinrecError):
    """Input tables or files that cannot be used as they are (exit code 2)."""

    exit_code = 2


class TrainingError(FinrecError):
    """Training that cannot go on, such as a loss that is no longer finite (exit code 1)."""
