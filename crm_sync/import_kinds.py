"""Everything that can be imported, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from crm_sync.imported_customers import CUSTOMERS
from crm_sync.imported_holdings import ASSETS, DUES, VISITS
from crm_sync.imported_orders import ORDERS
from crm_sync.imported_points import POINTS
from crm_sync.imports import Kind
from crm_sync.sites import SITES

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {kind.name: kind for kind in (CUSTOMERS, SITES, ASSETS, VISITS, ORDERS, DUES, POINTS)}
)
