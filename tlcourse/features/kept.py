"""`Features`: what `extract` returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape

import torch

from tlcourse.datasets import shot_indices
from tlcourse.errors import CourseError
from tlcourse.models import Tokens


@dataclass(frozen=True, eq=False)
class Features:
    """Data mapped to one stage of a chain.

    Arguments:
        x: the features, first axis `n`; `[n, d]` where the stage gives vectors, `[n, c, h, w]` where it gives maps,
            `[n, t, d]` for texts before the pool. With `views` > 1 the second axis is the view.
        y: class numbers `[n]`.
        ids, classes: of the data.
        stage: name of the stage whose output this is.
        pooled: whether maps or tokens were averaged to one vector an item.
        mask: `[n, t]` for texts before the pool, else None.
        lengths: tokens of each text `[n]`, else None; training batches put texts of a length together.
        views: how many random views of each item are kept.
        weights: hash of the stages that the data went through.
        seconds, memory: what it cost: wall seconds, and peak MB of the process.
        kept: whether it was read from the cache instead of computed.
        key: name of the file in the cache; None if it cannot be kept.
        transform: what the data went through before the first stage, in words.
        engine: what ran the stages.
    """

    x: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...]
    stage: str
    pooled: bool = False
    mask: torch.Tensor | None = field(default=None, repr=False)
    lengths: torch.Tensor | None = field(default=None, repr=False)
    views: int = 1
    weights: str = field(default="", repr=False)
    seconds: float = 0.0
    memory: float = 0.0
    kept: bool = False
    key: str | None = field(default=None, repr=False)
    transform: str = field(default="", repr=False)
    engine: str = field(default="torch", repr=False)

    def __post_init__(self):
        counts = {name: len(part) for name in ("x", "y", "ids") if (part := getattr(self, name)) is not None}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} has {n}" for name, n in counts.items())
            raise CourseError(
                f"Features, labels and ids do not belong to the same items: {told}.",
                do="Choose the same items of each, e.g. Features(x[:100], y[:100], ids[:100], ...).",
            )

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index) -> Features:
        chosen = torch.arange(len(self))[index].reshape(-1)
        return replace(
            self,
            x=self.x[chosen],
            y=self.y[chosen],
            ids=tuple(self.ids[i] for i in chosen.tolist()),
            mask=None if self.mask is None else self.mask[chosen],
            lengths=None if self.lengths is None else self.lengths[chosen],
        )

    def shots(self, k: int, seed: int = 0) -> Features:
        """`k` items of each class, the same ones that the data's own `shots(k, seed)` chooses."""
        return self[shot_indices(self.y, self.classes, k, seed)]

    def batch(self, index: torch.Tensor, view: int = 0) -> torch.Tensor | Tokens:
        """Items as the next stage takes them, in float32."""
        x = self.x if self.views == 1 else self.x[:, view % self.views]
        if self.mask is None:
            return x[index].float()
        mask = self.mask if self.views == 1 else self.mask[:, view % self.views]
        longest = max(1, int(mask[index].sum(1).max()))  # padding for longer texts elsewhere would only cost time
        return Tokens(x[:, :longest][index].float(), mask[:, :longest][index])

    def flat(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors `[n * views, d]` and their class numbers, for a probe."""
        if self.mask is not None or self.x.ndim - (self.views > 1) != 2:
            from tlcourse.errors import CourseError

            raise CourseError(
                f"At stage {self.stage!r} each item has the shape {list(self.x.shape[1:])}, not a vector.",
                do=f'Average over places: extract(model, data, "{self.stage}", pooled=True).',
            )
        return self.x.float().reshape(-1, self.x.shape[-1]), self.y.repeat_interleave(self.views)

    def __repr__(self) -> str:
        how = "read from the cache" if self.kept else "computed"
        shape = "x".join(map(str, self.x.shape[1:]))
        return (
            f"Features: {len(self)} items of {len(self.classes)} classes at stage {self.stage!r}, {shape} each "
            f"({self.x.numel() * self.x.element_size() / 1e6:.1f} MB), {how} in {self.seconds:.2f} s"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"
