"""`predict`: what a model says of one image or one sentence, and what in it counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

import numpy as np
import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, whole_number
from tlcourse.explain.gradcam import grad_cam, map_stage
from tlcourse.explain.items import kind_of, picture, sentence
from tlcourse.explain.occlusion import Struck, cover_up, strike_words, unknown
from tlcourse.explain.outputs import class_names, shares
from tlcourse.features.inputs import check_positions
from tlcourse.features.modes import evaluating, model_device
from tlcourse.hardware import measured
from tlcourse.models import ImageTransform, Tokens

GRID = 7


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image or text.

    Arguments:
        kind: `"image"` or `"text"`.
        names, shares: the likeliest classes, the first the likeliest, and their shares 0..1 (the softmax).
        classes: how many classes the model knows.
        picture: what the model saw of an image, uint8 `[h, w, 3]`; None for a text.
        where: for each of the classes a map `[classes, h, w]`, 0..1: how much each place of the picture speaks for it,
            as a share of the place that speaks most. None if it was not asked for.
        text: as far as the model reads it.
        spans: where the parts of the text begin and end.
        weights: for each of the classes `[classes, parts]`: by how much its share falls when the part is left out.
        how: the way in which that was found, in words.
        notes: what a reader should know of the item or the model.
        seconds: what it cost, in wall seconds.
    """

    kind: str
    names: tuple[str, ...]
    shares: tuple[float, ...]
    classes: int
    picture: np.ndarray | None = field(default=None, repr=False)
    where: np.ndarray | None = field(default=None, repr=False)
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    weights: np.ndarray | None = field(default=None, repr=False)
    how: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def looked(self, rank: int = 0) -> str:
        """What counted for one of the classes, in a sentence; empty if it was not asked for."""
        if self.where is not None:
            return _looked(self.where[rank], self.names[rank])
        if self.weights is not None:
            return _counted(self.parts, self.weights[rank], self.names[rank], self.shares[rank])
        return ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the text."""
        return tuple(self.text[start:end] for start, end in self.spans)

    def __str__(self) -> str:
        said = ", ".join(f"{name} {_percent(p)}" for name, p in zip(self.names, self.shares, strict=True))
        more = f" (of {self.classes:,} classes)" if self.classes > len(self.names) else ""
        return " ".join(part for part in (f"{said}{more}.", self.looked(), *self.notes) if part)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{_percent(p)}</td></tr>"
            for name, p in zip(self.names, self.shares, strict=True)
        )
        words = "".join(f"<p>{escape(part)}</p>" for part in (self.looked(), *self.notes) if part)
        return f"<table><tr><th scope='col'>class</th><th scope='col'>share</th></tr>{rows}</table>{words}"


def predict(
    model: nn.Module, item, top: int = 5, *, where: bool = True, transform: Callable | None = None
) -> Prediction:
    """What a model says of one image or one sentence: the likeliest classes, and what in the item counted.

    Of an image Grad-CAM shows which places speak for a class; where no stage gives a map, as in a vision transformer,
    the image is covered square by square instead. Of a text each word is left out in turn. The model stays as it was.

    Arguments:
        model: any classifier, e.g. from `load`.
        item: for an image a path, the bytes of a file, a PIL image, or an array `[h, w, 3]` or `[3, h, w]`; for a text
            a string; or a split of one item, e.g. `data.test[3]`.
        top: how many classes to name.
        where: False leaves out what counted, which takes most of the time.
        transform: raw item -> model input, if not `model.transform`.

    Returns a `Prediction`. Raises `CourseError` for what cannot be read, and for a model without a head.

    >>> from tlcourse import load, photograph
    >>> predict(load("efficientnet-lite0"), photograph("coffee"), top=2).names
    ('espresso', 'cup')

    Chapter 00; Selvaraju et al. 2017; Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016.
    """
    whole_number("top", top)
    transform = transform or getattr(model, "transform", None)
    if not isinstance(model, nn.Module) or transform is None:
        what = "The model has no transform of its own." if isinstance(model, nn.Module) else "A model is needed first."
        raise CourseError(what, do="Pass transform=..., the map from a raw item to the model's input.")
    kind = kind_of(model, transform, item)
    with measured() as cost:
        made = (_of_text if kind == "text" else _of_image)(model, item, top, where, transform)
    return Prediction(kind=kind, seconds=cost.seconds, **made)


def _of_image(model, item, top: int, where: bool, transform) -> dict:
    pixels, notes = picture(item, transform)
    notes = [note[0].upper() + note[1:] + "." for note in notes]
    x = transform(pixels[None])
    seen = transform.inverse(x)[0] if isinstance(transform, ImageTransform) else pixels
    made = _named(model, x, top, notes)
    if where:
        best = made.pop("best")
        maps, made["how"] = _maps(model, x, best, made["shares"])
        most = maps.clamp(min=0).amax((1, 2), keepdim=True)
        made["where"] = (maps.clamp(min=0) / most.clamp(min=1e-12)).numpy()
    made.pop("best", None)
    return {**made, "picture": np.ascontiguousarray(seen.permute(1, 2, 0).numpy())}


def _maps(model, x, best: list[int], shares) -> tuple[torch.Tensor, str]:
    stage = _stage(model, x)
    if stage is not None:
        maps = grad_cam(model, x, best, stage=stage)
        return maps, f"Grad-CAM at stage {stage}, {maps.shape[2]} by {maps.shape[1]} places"
    grid = min(GRID, *x.shape[-2:])
    return cover_up(model, x, best, grid=grid), (
        f"no stage gives a map of places, so {grid * grid} squares were covered in turn"
    )


def _stage(model, x) -> str | None:
    """The stage whose map to look at, if there is one and a chain to find it in."""
    try:
        chain = stages(model)
    except CourseError:
        return None
    shapes = {}
    y = x.to(model_device(model), next((p.dtype for p in model.parameters()), x.dtype))
    with torch.no_grad(), evaluating(nn.ModuleList([model, chain])):
        for name, step in chain.named_children():
            y = step(y)
            if not isinstance(y, torch.Tensor):
                break
            shapes[name] = tuple(y.shape)
    return map_stage(shapes)


def _of_text(model, item, top: int, where: bool, transform) -> dict:
    text = sentence(item)
    x = transform([text])
    if isinstance(x, Tokens):
        check_positions(model, x.x.shape[1])
    made = _named(model, x, top, [])
    best = made.pop("best")
    made["text"] = text
    if where:
        struck = strike_words(model, text, best, transform=transform)
        made |= {"text": struck.text, "spans": struck.spans, "weights": struck.falls.numpy()}
        several = struck.words > len(struck.spans)
        made["how"] = f"each {'few words' if several and len(struck.spans) < struck.read else 'word'} left out in turn"
        made["notes"] += _unread(struck, text, transform)
    return made


def _unread(struck: Struck, text: str, transform) -> tuple[str, ...]:
    """What of a text the model does not read."""
    notes = []
    if struck.read < struck.words:
        notes.append(f"The model reads the first {struck.read} of {struck.words} words; the rest does not count.")
    elif len(struck.text) < len(text):
        notes.append(f"The model reads the first {len(struck.text)} of {len(text):,} letters; the rest does not count.")
    if blanks := unknown(struck.text, transform):
        words = "1 word is" if blanks == 1 else f"{blanks} words are"
        notes.append(f"{words} unknown to the model, which reads a blank there.")
    return tuple(notes)


def _named(model, x, top: int, notes: list[str]) -> dict:
    found = shares(model, x)[0]
    names, remark = class_names(model, len(found))
    best = found.topk(min(top, len(found))).indices.tolist()
    return {
        "best": best,
        "names": tuple(names[i] for i in best),
        "shares": tuple(found[best].tolist()),
        "classes": len(found),
        "notes": tuple(notes + ([remark] if remark else [])),
    }


_PLACES = (
    ("its top left", "its top", "its top right"),
    ("its left", "its middle", "its right"),
    ("its bottom left", "its bottom", "its bottom right"),
)


def _looked(map_: np.ndarray, name: str) -> str:
    if not map_.max() > 0:
        return f"No place of the picture speaks for {name}."
    order = np.argsort(-map_, axis=None, kind="stable")
    half = order[: np.searchsorted(np.cumsum(map_.ravel()[order]), map_.sum() / 2) + 1]
    at = np.stack(np.unravel_index(half, map_.shape), 1) + 0.5  # the places that hold half of it
    middle = np.average(at, axis=0, weights=map_.ravel()[half])
    if map_[tuple(middle.astype(int))] < 0.5 * map_.max():  # in several heaps: where the largest is
        middle = at[0]
    i, j = (3 * middle / map_.shape).astype(int)
    area, spread = _percent(len(half) / map_.size), "spread out " if len(half) > 0.3 * map_.size else ""
    return f"Half of what speaks for {name} lies on {area} of the picture, {spread}around {_PLACES[i][j]}."


def _counted(parts, weights: np.ndarray, name: str, share: float) -> str:
    if len(parts) < 2:
        return "One word: there is nothing to leave out."
    order = np.argsort(-np.abs(weights))[:3]
    if abs(weights[order[0]]) < 0.005:
        return f"No single word counts: without any one of them {name} keeps its {_percent(share)}."
    told = [f"without “{parts[i]}” {_percent(share - weights[i])}" for i in order if abs(weights[i]) >= 0.005]
    return f"{name} has {_percent(share)}; {', '.join(told)}."


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, float(share))):.0f} %" if share >= 0.00995 else "under 1 %"
