"""Something done once a package has been imported, whoever imports it.

``import xdiffimpute`` registers ``.impute`` on xarray's objects, which needs xarray, and xarray
takes half a second to import: too long for ``xdiffimpute --help``. So the accessor is registered
at once where xarray is there already (the usual order of imports), and otherwise right after
somebody imports it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["after_import"]


def after_import(name: str, then: Callable[[], None]) -> None:
    """Call a function now if a package has been imported, else once it has been.

    Parameters
    ----------
    name : str
        Of a top-level package.
    then : callable

    Examples
    --------
    >>> after_import("sys", lambda: print("is there"))
    is there
    """
    if name in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Finder(name, then))


class _Finder(MetaPathFinder):
    """Finds nothing by itself: it dresses what the other finders find."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name or self._asking:
            return None
        self._asking = True  # the search below comes by here again
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec

    def done(self) -> None:
        """Stand in the way no longer, and call the function."""
        sys.meta_path.remove(self)
        self._then()


class _Loader(Loader):
    """Loads with the package's own loader, which the module then shows as its own."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._finder.done()
