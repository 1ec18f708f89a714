"""`extract`: send data through the first stages of a chain, once, and keep what comes out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import torch
from torch import nn

from tlcourse import settings
from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features import store
from tlcourse.features.kept import Features
from tlcourse.features.keys import feature_key, stage_hashes
from tlcourse.features.modes import at_once, augmented, evaluating, model_device, seeded
from tlcourse.hardware import free_memory, measured, progress_bar
from tlcourse.models import ImageTransform, Tokens


def extract(
    model: nn.Module,
    data,
    stage: str | Sequence[str] = "pool",
    *,
    pooled: bool = False,
    transform: Callable | None = None,
    augment: Callable | None = None,
    views: int | None = None,
    batch: int | None = None,
    dtype: torch.dtype = torch.float32,
    cache: bool = True,
    seed: int = 0,
    progress: bool | None = None,
) -> Features | dict[str, Features]:
    """The features of data at a stage: the output of the chain's first stages, in evaluation mode.

    They are kept on disk under a key made of the weights of those stages, the transform, the stage, the dtype and
    the data. Change any of these and they are computed anew; else they are read back.

    Arguments:
        model: any model whose `stages` are known.
        data: a `Split` of images or texts.
        stage: a stage's name, or several (all in one pass; a dict comes back).
        pooled: average maps over places, and tokens over the text, to one vector an item.
        transform: raw batch -> model input, if not `model.transform`.
        augment: a random map of uint8 images `[1, c, h, w]`, applied to each image by itself before the transform;
            asks for `views`.
        views: how many random views of each item are kept.
        batch: items at once; by default 64, and fewer of large images, so that little memory is needed.
        dtype: of the features; `torch.float16` halves their size.
        cache: False neither reads nor keeps.
        seed: of the augmentation.
        progress: whether to show a bar; by default where someone looks.

    Raises `CourseError` for random views that nobody asked for, `UnknownName` for a stage that does not exist.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> extract(model, load_dataset("faces").train[:4], cache=False).x.shape
    torch.Size([4, 1280])

    Introduced in chapter 03. Donahue et al. 2014 (DeCAF); Sharif Razavian et al. 2014.
    """
    if cache:
        settings.features_limit()  # a wrong setting is told before the work, not after it
    names = [stage] if isinstance(stage, str) else list(stage or ())
    if not names:
        raise CourseError("No stage was named.", do='Name one, e.g. extract(model, data, "pool").')
    chain = dict(stages(model).named_children())
    for name in names:
        if name not in chain:
            raise UnknownName("stage", name, chain)
    transform = transform or getattr(model, "transform", None)
    _check(data, transform, augment, views)
    batch = at_once(transform) if batch is None else batch
    whole_number("batch", batch)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise CourseError(f"dtype={dtype!r} does not hold features.", do="Use torch.float32 or torch.float16.")
    drawn = seed if views else 0  # without views nothing is random
    views = views or 1
    hashes = stage_hashes({name: chain[name] for name in list(chain)[: max(map(list(chain).index, names)) + 1]})
    keys = {
        name: feature_key(
            hashes[name], list(chain.values())[: list(chain).index(name) + 1], transform, augment,
            stage=name, seed=drawn, pooled=pooled, views=views, dtype=str(dtype), data=data.fingerprint,
            device=model_device(model).type, autocast=_autocast(model_device(model).type),
        )
        for name in names
    }  # fmt: skip
    found: dict[str, Features] = {}
    for name in names:
        if cache and keys[name]:
            with measured() as cost:
                tensors = store.read(keys[name])
            if tensors is not None and len(tensors.get("x", ())) == len(data):
                found[name] = _features(
                    data, tensors, name, pooled, views, hashes[name], keys[name], cost, True, transform
                )
    missing = [n for n in names if n not in found]
    if missing:
        with measured(model_device(model)) as cost:
            made = _run(model, chain, data, missing, transform, augment, views, pooled, batch, dtype, seed, progress)
        for name, tensors in made.items():
            found[name] = _features(
                data, tensors, name, pooled, views, hashes[name], keys[name], cost, False, transform
            )
            if cache and keys[name]:
                store.write(keys[name], tensors)
    return found[stage] if isinstance(stage, str) else {n: found[n] for n in names}


def _check(data, transform, augment, views) -> None:
    if not hasattr(data, "fingerprint"):
        raise CourseError(
            f"Features are extracted from a split of data, not from a {type(data).__name__}.",
            do='Pass e.g. load_dataset("faces").train, from_folder(path).train or from_csv(path, ...).train.',
        )
    if not len(data):
        raise CourseError("There is nothing to extract: the data are empty.")
    if transform is None:
        raise CourseError(
            "The model has no transform of its own.",
            why="Without it the pixels or texts cannot be turned into what the weights expect.",
            do="Pass transform=..., the map from a raw batch to the model's input.",
        )
    if views is not None and (not isinstance(views, int) or views < 1):
        raise CourseError(f"views={views!r} is not a number of views.", do="Choose a whole number from 1.")
    random = augment is not None or (data.kind == "image" and _is_random(transform, data.x[:4]))
    if random and views is None:
        raise CourseError(
            "The images would be changed at random, and the features kept of one such draw.",
            why="From kept features the augmentation would be the same in every epoch: no augmentation at all.",
            do="Say how many random views of each image to keep, e.g. views=4, or leave the augmentation out.",
        )
    if augment is not None and data.kind != "image":
        raise CourseError("Augmentation is for images; these data are texts.", do="Leave out augment=.")


# torchvision's names of what is drawn anew at each call
_RANDOM = re.compile(
    r"\b(Random\w+|ColorJitter|\w*AutoAugment|RandAugment|TrivialAugmentWide|AugMix|GaussianNoise|"
    r"ElasticTransform|ScaleJitter)\("
)


def _is_random(transform, x) -> bool:
    if isinstance(transform, ImageTransform):
        return False
    if _RANDOM.search(repr(transform)):
        return True
    draws = []
    for seed in range(8):  # a flip with p = .5 gives the same twice in half of the pairs
        with seeded(seed):
            draws.append(transform(x))
    return any(isinstance(d, torch.Tensor) and not torch.equal(d, draws[0]) for d in draws)


def _run(model, chain, data, names, transform, augment, views, pooled, batch, dtype, seed, progress):
    device, n = model_device(model), len(data)
    last = max(list(chain).index(name) for name in names)
    run = dict(list(chain.items())[: last + 1])
    held: dict[str, dict[str, torch.Tensor]] = {name: {} for name in names}
    chunks = [(view, part) for view in range(views) for part in _longest_first(data).split(batch)]
    # The stages too: a set_stages chain may hold modules that are not the model's own.
    everything = nn.ModuleList([model, *run.values()])
    with seeded(seed, device), evaluating(everything), torch.no_grad():
        for view, part in progress_bar(chunks, f"features at {names[-1]}", progress):
            x = data.x[part] if data.kind == "image" else [data.x[i] for i in part.tolist()]
            x = transform(augmented(augment, x) if augment else x)
            if not isinstance(x, (torch.Tensor, Tokens)):
                raise CourseError(
                    f"The transform returned a {type(x).__name__}.",
                    do="Let it return a tensor [n, ...] with all items of the batch, or Tokens for texts.",
                )
            x = x.to(device)
            for name, stage in run.items():
                x = stage(x)
                if name in held:
                    y = _average(x) if pooled else x
                    if not held[name]:
                        held[name] = _room(y, n, views, dtype, held)
                    _put(held[name], y, part, view)
    return {name: t if views > 1 else {k: v.squeeze(1) for k, v in t.items()} for name, t in held.items()}


def _room(x, n, views, dtype, held) -> dict[str, torch.Tensor]:
    """Where the features of all items will stand, in the order of the data; memory then holds one copy of them."""
    out, texts = (x.x, True) if isinstance(x, Tokens) else (x, False)
    shape = (n, views, *out.shape[1:])
    needed = math.prod(shape) * dtype.itemsize + sum(t.nbytes for tensors in held.values() for t in tensors.values())
    free, _ = free_memory()
    if needed > free:  # say so before the kernel dies of it
        raise CourseError(
            f"These features would take {needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            why="Before the pool a stage gives a whole map for each image, a vector for each token of a text.",
            do="Extract with pooled=True, at a later stage, with dtype=torch.float16, or from fewer items.",
        )
    room = {"x": torch.zeros(shape, dtype=dtype)}
    return room | {"mask": torch.zeros(shape[:3], dtype=x.mask.dtype)} if texts else room


def _put(room: dict[str, torch.Tensor], x, part, view) -> None:
    if not isinstance(x, Tokens):
        room["x"][part, view] = x.to("cpu", room["x"].dtype)
        return
    width, more = x.mask.shape[1], x.mask.shape[1] - room["mask"].shape[2]
    if more > 0:  # fewer letters, but more tokens than the texts before
        room["x"] = nn.functional.pad(room["x"], (0, 0, 0, more))
        room["mask"] = nn.functional.pad(room["mask"], (0, more))
    room["x"][part, view, :width] = x.x.to("cpu", room["x"].dtype)
    room["mask"][part, view, :width] = x.mask.cpu()


def _longest_first(data) -> torch.Tensor:
    if data.kind == "image":
        return torch.arange(len(data))
    # Texts of a length need little padding; the longest come first, so that a lack of memory shows at once.
    return torch.tensor([len(text) for text in data.x]).argsort(descending=True, stable=True)


def _average(x):
    if isinstance(x, Tokens):
        weight = x.mask.to(x.x.dtype)[..., None]
        return (x.x * weight).sum(1) / weight.sum(1).clamp(min=1)
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x


def _autocast(device: str) -> str:
    on = torch.is_autocast_enabled(device)
    return str(torch.get_autocast_dtype(device)) if on else ""


def _features(data, tensors, name, pooled, views, weights, key, cost, kept, transform) -> Features:
    return Features(
        x=tensors["x"], y=data.y, ids=data.ids, classes=data.classes, stage=name, pooled=pooled,
        mask=tensors.get("mask"), views=views, weights=weights, seconds=cost.seconds, memory=cost.memory,
        kept=kept, key=key, transform=repr(transform),
    )  # fmt: skip
