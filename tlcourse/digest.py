"""One hash of many tensors, to know whether a file holds what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, whatever their order.

    >>> one = {"a": torch.zeros(2), "b": torch.ones(1)}
    >>> digest(one) == digest({"b": torch.ones(1), "a": torch.zeros(2)})
    True
    >>> digest(one) == digest({"a": torch.zeros(2), "b": torch.ones(1, 1)})
    False
    """
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
