"""Where features stand while they are computed: in memory, or beyond a budget in a file that is mapped."""

from __future__ import annotations

import math

import torch

from tlcourse import settings
from tlcourse.errors import CourseError
from tlcourse.features import store
from tlcourse.hardware import free_memory
from tlcourse.models import Tokens


class Room:
    """One stage's features of all items, in the order of the data; memory holds one copy of them at most.

    Arguments:
        n, views: how many items, and random views of each.
        lengths: tokens of each text `[n]`, or None.
        dtype: of the features.
        key: name of the file that they may go to, or None.
    """

    def __init__(self, n: int, views: int, lengths: torch.Tensor | None, dtype: torch.dtype, key: str | None):
        self.n, self.views, self.lengths, self.dtype, self.key = n, views, lengths, dtype, key
        self.tensors: dict[str, torch.Tensor] = {}
        self.part: store.Part | None = None

    def put(self, x: torch.Tensor | Tokens, items: torch.Tensor, view: int, held: int = 0) -> None:
        """Copy a batch to its places; `held` is how many bytes of other stages stand in memory already."""
        tensors = {"x": x.x, "mask": x.mask} if isinstance(x, Tokens) else {"x": x}
        if not self.tensors:
            self._allocate(tensors, held)
        for name, tensor in tensors.items():
            place, tensor = self.tensors[name], self._rounded(tensor, self.tensors[name].dtype)
            if isinstance(x, Tokens):
                place[items, view, : tensor.shape[1]] = tensor
            else:
                place[items, view] = tensor

    def finish(self) -> dict[str, torch.Tensor]:
        """The tensors `[n, ...]`, or `[n, views, ...]` of several views; a file that was filled is then complete."""
        if self.part is not None:
            self.tensors = {}  # the file is let go before it gets its name
            self.tensors = self.part.finish()
            return self.tensors
        return {name: t.squeeze(1) if self._has_view(name) else t for name, t in self.tensors.items()}

    def drop(self) -> None:
        """Let go of what was put, and remove the file that it went to: nobody will finish it."""
        self.tensors = {}
        if self.part is not None:
            self.part.drop()

    @property
    def kept(self) -> bool:
        """Whether the features are in their file already."""
        return self.part is not None and self.part.kept

    @property
    def bytes(self) -> int:
        """What the tensors take in memory."""
        return 0 if self.part is not None else sum(t.nbytes for t in self.tensors.values())

    def _allocate(self, example: dict[str, torch.Tensor], held: int) -> None:
        shapes = {}
        for name, tensor in example.items():
            inner = tensor.shape[1:] if "mask" not in example else (int(self.lengths.max()), *tensor.shape[2:])
            shapes[name] = ((self.n, self.views, *inner), self.dtype if name == "x" else tensor.dtype)
        if self.lengths is not None:
            shapes["lengths"] = ((self.n,), torch.int64)
        needed = sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values())
        if needed + held > memory_budget() and self.key is not None:
            # in a file a single view has no axis of its own
            flat = {k: ((s[0], *s[2:]) if self._has_view(k) else s, d) for k, (s, d) in shapes.items()}
            self.part = store.Part.begin(self.key, flat)
        if self.part is not None:
            self.tensors = {k: t.view(shapes[k][0]) for k, t in self.part.tensors.items()}
        else:
            free, all_ = free_memory()[0], needed + held
            if all_ > free:  # say so before the kernel dies of it
                raise CourseError(
                    f"These features would take {all_ / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
                    why="Before the pool a stage gives a whole map for each image, a vector for each token of a text.",
                    do="Extract with pooled=True, at a later stage, with dtype=torch.float16, or from fewer items.",
                )
            self.tensors = {name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()}
        if self.lengths is not None:
            self.tensors["lengths"].copy_(self.lengths)

    @staticmethod
    def _rounded(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        rounded = tensor.to("cpu", dtype)
        if dtype == torch.float16 and rounded.isinf().sum() > tensor.isinf().sum():
            raise CourseError(
                f"Features of {float(tensor.abs().max()):.0e} do not fit into half precision (at most 65504).",
                do="Extract with dtype=torch.float32; give more memory by TLCOURSE_FEATURES_MEMORY_MB.",
            )
        return rounded

    def _has_view(self, name: str) -> bool:
        return self.views == 1 and name != "lengths"


def memory_budget() -> int:
    """Bytes of memory that features may take before they go to disk: a quarter of what is free, if not set.

    >>> memory_budget() > 0
    True
    """
    chosen = settings.features_memory()
    return free_memory()[0] // 4 if chosen is None else chosen
