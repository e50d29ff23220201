"""Arguments that a call does not take, named as a user wrote the call, with the nearest match."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from .exceptions import ArgumentError
from .suggestion import did_you_mean

__all__ = ["LAYOUT", "as_list", "called", "is_whole", "refuse_unknown"]

P = ParamSpec("P")
R = TypeVar("R")

LAYOUT = ("variables", "time", "y", "x", "extra_dims")
"""Arguments that say how a dataset is laid out."""


def as_list(names: str | Iterable[str] | None) -> list[str]:
    """Names as a list; a string is one name.

    Examples
    --------
    >>> as_list("sst"), as_list(("u", "v")), as_list(None)
    (['sst'], ['u', 'v'], [])
    """
    return [names] if isinstance(names, str) else list(names or ())


def is_whole(value: Any, least: int) -> bool:
    """Whether an argument is a whole number of at least so much.

    Examples
    --------
    >>> [is_whole(value, 1) for value in (5, 5.0, 2.5, 0, "five", None, True)]
    [True, True, False, False, False, False, False]
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and float(value).is_integer() and value >= least


def refuse_unknown(call: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keyword arguments that a call does not take.

    Parameters
    ----------
    call : str
        As a user writes it, such as ``"ds.impute.fit"``.
    given, known : iterable of str

    Raises
    ------
    ArgumentError
        Naming what was given, the nearest match and what there is.

    Examples
    --------
    >>> refuse_unknown("ds.impute.fit", ["max_tim"], ["steps", "max_time"])
    Traceback (most recent call last):
    ...
    xdiffimpute.exceptions.ArgumentError: ds.impute.fit() takes no argument 'max_tim'. Did you mean
    'max_time'? It takes steps, max_time
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    raise ArgumentError(
        f"{call}() takes no argument {', '.join(map(repr, unknown))}."
        f"{did_you_mean(unknown, known)} It takes {', '.join(known)}"
    )


def called(call: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose complaints about arguments name the call that a user wrote.

    Parameters
    ----------
    call : str
        Such as ``"ds.impute.fit"``.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(method)
        names = [n for n, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD][1:]
        open_ = len(names) + 1 < len(signature.parameters)

        @wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not open_:
                refuse_unknown(call, kwargs, names)
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentError(
                    f"{call}(): {error}; give arguments by name: {', '.join(names)}"
                ) from error
            return method(*args, **kwargs)

        return checked

    return decorate
