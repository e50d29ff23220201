"""The name that was meant, perhaps."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]

CUTOFF = 0.4  # of the similarity of two names


def did_you_mean(wrong: object | Iterable[object], known: Iterable[object]) -> str:
    """A sentence with the nearest names, to put behind an error.

    Parameters
    ----------
    wrong : str or iterable of str
        Names that are not known.
    known : iterable of str
        Those there are; upper and lower case are the same.

    Returns
    -------
    str
        With a space in front; empty where nothing is near.

    Examples
    --------
    >>> did_you_mean("max_tim", ["steps", "max_time"]), did_you_mean(["zzz"], ["steps"])
    (" Did you mean 'max_time'?", '')
    """
    names = [wrong] if isinstance(wrong, str) or not isinstance(wrong, Iterable) else list(wrong)
    lower = {str(name).lower(): str(name) for name in known}
    found = (get_close_matches(str(name).lower(), lower, n=1, cutoff=CUTOFF) for name in names)
    meant = list(dict.fromkeys(lower[near[0]] for near in found if near))
    return f" Did you mean {', '.join(map(repr, meant))}?" if meant else ""
