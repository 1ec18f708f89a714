"""Weights and data: what there is, where the bytes come from, and a verified copy of them on this machine."""

from tlcourse.assets.catalogue import Asset, File, registry
from tlcourse.assets.resolver import Fetched, fetch, file, folder, state
from tlcourse.assets.store import clear

__all__ = ["Asset", "Fetched", "File", "clear", "fetch", "file", "folder", "registry", "state"]
