"""Families of variants found by file name.

A family is a package in which each module defines one concrete class: the
module's stem is the variant's public name. Adding a variant is adding a file;
nothing is registered by hand and nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from .exceptions import UnknownNameError
from .suggestion import did_you_mean

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """The variants of one family, by name.

    Parameters
    ----------
    family : str
        What a variant is called in messages, such as ``"baseline"``.
    package : str
        Dotted name of the package whose modules are the variants.
    base : str
        Name of the abstract class in ``package.base`` that every variant derives from.

    Examples
    --------
    >>> from xdiffimpute.masks import MASKS
    >>> "pixel" in MASKS.names()
    True
    """

    def __init__(self, family: str, package: str, base: str) -> None:
        self.family = family
        self.package = package
        self.base = base

    def names(self) -> list[str]:
        """Names of all variants, sorted, without importing any."""
        path = importlib.import_module(self.package).__path__
        stems = (module.name for module in pkgutil.iter_modules(path))
        return sorted(s for s in stems if s != "base" and not s.startswith("_"))

    def get(self, name: str) -> type[T]:
        """The class behind a name.

        Raises
        ------
        UnknownNameError
            If there is no such variant; the message lists what exists and the nearest match.
        """
        names = self.names()
        if name not in names:
            raise UnknownNameError(
                f"no {self.family} is called {name!r}; there are {', '.join(names)}."
                f"{did_you_mean(name, names)}"
            )
        base: type[Any] = getattr(importlib.import_module(f"{self.package}.base"), self.base)
        module = importlib.import_module(f"{self.package}.{name}")
        found: list[Any] = [
            cls
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if cls.__module__ == module.__name__
            and issubclass(cls, base)
            and not inspect.isabstract(cls)
        ]
        if len(found) != 1:
            raise UnknownNameError(
                f"{module.__name__} must define exactly one concrete {self.base}, "
                f"found {[c.__name__ for c in found]}"
            )
        chosen: type[T] = found[0]
        return chosen

    def create(self, name: str, **options: Any) -> T:
        """An instance of the variant, built with ``options``."""
        return self.get(name)(**options)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()
