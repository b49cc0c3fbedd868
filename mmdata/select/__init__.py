"""Decisions over the rows of a store, written as named selections. Moves no media."""

from __future__ import annotations

from mmdata.select.asof import AsOf, as_of
from mmdata.select.balance import Balance
from mmdata.select.comparison import Difference, diff
from mmdata.select.selection import Selected, select
from mmdata.select.split import Split

__all__ = ["AsOf", "Balance", "Difference", "Selected", "Split", "as_of", "diff", "select"]
