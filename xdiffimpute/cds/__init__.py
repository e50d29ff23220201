"""ERA5 and its kin from the Climate Data Store: what to ask for, asking, reading, keeping.

``order`` turns variables, months and an area into requests; ``desk`` puts a request to the real
``cdsapi`` client and names what went wrong; ``answer`` reads what came as one CF dataset;
``archive`` goes month by month and writes one store.
"""

from __future__ import annotations

from .archive import Fetched, fetch
from .order import Month, Order

__all__ = ["Fetched", "Month", "Order", "fetch"]
