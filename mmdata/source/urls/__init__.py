"""What the web serves: `manifest` lists it, `ahead` reads in order, `fetch` gets a URL, `hosts` minds the manners."""

from __future__ import annotations

from mmdata.source.urls.manifest import Urls

__all__ = ["Urls"]
