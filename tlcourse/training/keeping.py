"""Whether the frozen first stages are computed once and kept, or run in each epoch; and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tlcourse import settings
from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.features import Features, extract
from tlcourse.features.engine import precision_of
from tlcourse.features.extraction import is_random
from tlcourse.features.inputs import check_positions
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.features.room import memory_budget
from tlcourse.freezing import still
from tlcourse.models import Tokens

SMALL = 50_000_000
"""Bytes that are always worth keeping: another run, another head, another notebook will read them."""
LITTLE = 0.05
"""Share of the network's operations below which keeping a prefix saves too little."""


@dataclass(frozen=True)
class Kept:
    """What a model is trained and scored on: the data as they came, or their image at the frozen boundary.

    Arguments:
        train, valid: `Split` or `Features`; `valid` may be None.
        line: one line that says what was kept, or why nothing was.
    """

    train: object
    valid: object
    line: str = ""


@dataclass(frozen=True)
class Decision:
    """Where the frozen stages' output is kept: behind `boundary`, or nowhere (None), and why.

    `bytes` is what it would take in float32, where that is not little.
    """

    boundary: str | None
    why_not: str = ""
    bytes: int = 0


def decide(model, train, valid=None, *, epochs=1, augment=None, views=None, mix=None, keep=None) -> Decision:
    """Whether keeping pays, and is right at all; see `fit` for the arguments."""
    if isinstance(train, Features) or not hasattr(train, "fingerprint"):
        return Decision(None)
    boundary, bytes_ = (still(model) or (None,))[-1], 0
    why_not = _reason(model, train, boundary, augment, views, mix, keep)
    if why_not is None and not _ends_in_vectors(model, boundary):
        each, saved = probe(model, train, boundary)
        bytes_ = each * (len(train) * (views or 1) + (0 if valid is None else len(valid)))
        why_not = None if keep else _does_not_pay(boundary, bytes_, saved, epochs)
    return Decision(boundary, bytes=bytes_) if why_not is None else Decision(None, why_not)


def keep_prefix(model, train, valid=None, *, keep=None, augment=None, views=None, progress=None, **more) -> Kept:
    """Compute what the frozen first stages give, once, if that pays; see `fit` for the arguments.

    Raises `CourseError` when `keep=True` asks for what cannot be right.
    """
    decision = decide(model, train, valid, keep=keep, augment=augment, views=views, **more)
    boundary, why_not = decision.boundary, decision.why_not
    if boundary is None:
        if keep and why_not:
            raise CourseError("The frozen stages' output cannot be kept here.", why=why_not, do="Leave out keep=True.")
        return Kept(train, valid, f"Nothing was kept: {why_not}" if why_not else "")
    # in half precision where the memory would not hold the whole: activations lose less than a thousandth by it
    dtype = torch.float16 if decision.bytes > memory_budget() else torch.float32
    try:
        made = extract(model, train, boundary, augment=augment, views=views, dtype=dtype, progress=progress)
        scored = valid
        if valid is not None and not isinstance(valid, Features):
            scored = extract(model, valid, boundary, dtype=dtype, progress=progress)
    except CourseError as error:
        if keep or not any(word in error.what for word in ("memory", "half precision")):
            raise
        return Kept(train, valid, f"Nothing was kept: {error.what}")
    return Kept(made, scored, _line(made, scored if scored is not valid else None, dtype))


def _reason(model, train, boundary, augment, views, mix, keep) -> str | None:
    """Why nothing may be kept; an empty reason where there is nothing to say; None if it may."""
    if keep is False:
        return "keep=False."
    if boundary is None:
        return "the first stage trains." if keep or views else ""
    if getattr(model, "transform", None) is None:
        return "the model has no transform of its own." if keep else ""
    if mix is not None:
        return "images are mixed with each other anew in each epoch, before the frozen stages."
    if augment is not None and views is None:
        return "the images are changed at random in each epoch; views=4 would keep four random views of each."
    if train.kind == "image" and is_random(model.transform, train.x[:4]):
        return "the model's transform is random."
    return None


def _ends_in_vectors(model: nn.Module, boundary: str) -> bool:
    """Whether only the head is left: then what is kept is small, and the saving is nearly everything."""
    names = [name for name, _ in stages(model).named_children()]
    return names[names.index(boundary) + 1 :] == names[-1:]


def _does_not_pay(boundary: str, bytes_: int, saved: float, epochs: int) -> str | None:
    if saved < LITTLE:
        return f"the stages up to {boundary!r} are {saved:.0%} of the work."
    if epochs == 1 and bytes_ > SMALL:
        return "one epoch computes them once anyway."
    limit = settings.features_limit()
    if bytes_ / 2 > limit and bytes_ > memory_budget():
        return (
            f"what {boundary!r} gives would take {bytes_ / 1e9:.1f} GB, "
            f"and TLCOURSE_FEATURES_LIMIT_MB allows {limit / 1e9:.1f} GB."
        )
    return None


def probe(model: nn.Module, data, boundary: str | None) -> tuple[int, float]:
    """Bytes an item takes at a boundary in float32, and the share of the network's operations before it.

    Two items are sent through (of texts the longest two), so the figures for texts are those of full padding.
    """
    device, chain = model_device(model), dict(stages(model).named_children())
    some = data.x[:2] if data.kind == "image" else sorted(data.x, key=len)[-2:]
    x, done, bytes_, before = model.transform(some).to(device), 0, 0, 0
    if isinstance(x, Tokens):
        check_positions(model, x.x.shape[1])
    elif isinstance(x, torch.Tensor) and x.is_floating_point():
        x = x.to(precision_of(chain.values()))
    everything = nn.ModuleList([model, *chain.values()])
    with seeded(0, device), evaluating(everything), torch.no_grad():
        for name, stage in chain.items():
            with FlopCounterMode(display=False) as counter:
                x = stage(x)
            done += counter.get_total_flops()
            if name == boundary:
                y = x.x if isinstance(x, Tokens) else x
                bytes_, before = prod(y.shape[1:]) * 4, done
    return bytes_, before / max(1, done)


def _line(made: Features, scored: Features | None, dtype: torch.dtype) -> str:
    size = sum(f.x.numel() * f.x.element_size() for f in (made, scored) if f is not None) / 1e6
    seconds = made.seconds + (0.0 if scored is None else scored.seconds)
    views = f" in {made.views} random views" if made.views > 1 else ""
    half = ", in half precision to save room" if dtype == torch.float16 else ""
    how = "read from the cache" if made.kept else f"computed once by {made.engine.split(' ')[0]}"
    return f"Kept at {made.stage!r}{views}: {size:.1f} MB{half}, {how} in {seconds:.1f} s."
