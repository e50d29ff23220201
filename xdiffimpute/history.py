"""What happened in a training, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["LIMIT", "History"]

LIMIT = "the limit was reached"


@dataclass
class History:
    """Losses and withheld errors, both squared and in standardised units, and cost.

    A training that was interrupted and resumed counts all of its parts.

    Parameters
    ----------
    steps : int
        Updates.
    seconds : float
        Time of the updates and of the looks at the withheld observations.
    loss, validation : list of (int, float)
        Step and running loss; step and withheld error.
    stopped : str
        Why it ended; empty before the end.
    samples : int
        Windows that were learned from.
    waiting : float
        Seconds of those above in which there was no batch to work on.
    memory : int
        The most bytes that were in use: of the GPU, or of the process.

    Examples
    --------
    >>> history = History(steps=2, loss=[(2, 0.5)])
    >>> History.from_dict(history.to_dict()) == history
    True
    """

    steps: int = 0
    seconds: float = 0.0
    loss: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    stopped: str = ""
    samples: int = 0
    waiting: float = 0.0
    memory: int = 0

    @property
    def idle(self) -> bool:
        """Whether training lowered the withheld error by less than a hundredth.

        Examples
        --------
        >>> History(validation=[(0, 0.5), (10, 0.499)]).idle
        True
        """
        errors = [error for _, error in self.validation]
        return len(errors) > 1 and min(errors[1:]) > 0.99 * errors[0]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> History:
        """Rebuild from :meth:`to_dict`."""
        pairs = {name: [(int(n), float(e)) for n, e in saved[name]] for name in PAIRS}
        return cls(**saved | pairs)


PAIRS = ("loss", "validation")
