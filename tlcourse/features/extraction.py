"""`extract`: send data through the first stages of a chain, once, and keep what comes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from tlcourse import settings
from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features import store
from tlcourse.features.engine import Engine, planned
from tlcourse.features.inputs import Inputs
from tlcourse.features.kept import Features
from tlcourse.features.keys import feature_key, stage_hashes
from tlcourse.features.modes import at_once, evaluating, model_device, seeded
from tlcourse.features.room import Room
from tlcourse.hardware import measured, progress_bar, reused_memory
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
    engine: str | None = None,
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
        batch: items at once; by default at most 32, and fewer of large images: so many pass the caches quickest.
        dtype: of the features; `torch.float16` halves their size.
        cache: False neither reads nor keeps.
        engine: `"torch"`, `"onnxruntime"`, or `"auto"`: ONNX Runtime for a CNN on a processor, where it is installed
            and gives what torch gives (to 1e-4, verified on the first images). By default `TLCOURSE_ENGINE`, or auto.
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
    batch = at_once(transform, device=model_device(model)) if batch is None else batch
    whole_number("batch", batch)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise CourseError(f"dtype={dtype!r} does not hold features.", do="Use torch.float32 or torch.float16.")
    drawn = seed if views else 0  # without views nothing is random
    views = views or 1
    hashes = stage_hashes({name: chain[name] for name in list(chain)[: max(map(list(chain).index, names)) + 1]})
    device = model_device(model)
    plan = planned(engine, {n: s for n, s in chain.items() if n in hashes}, data.kind, device.type, len(data) * views)
    keys = {
        name: feature_key(
            hashes[name], list(chain.values())[: list(chain).index(name) + 1], transform, augment,
            stage=name, seed=drawn, pooled=pooled, views=views, dtype=str(dtype), data=data.fingerprint,
            device=device.type, autocast=_autocast(device.type), engine=plan,
        ) if cache else None
        for name in names
    }  # fmt: skip
    found: dict[str, Features] = {}
    make = partial(_features, data, pooled=pooled, views=views, transform=transform, engine=plan)
    for name in names:
        if keys[name]:
            with measured() as cost:
                tensors = store.read(keys[name])
            if tensors is not None and len(tensors.get("x", ())) == len(data):
                found[name] = make(tensors, name, hashes[name], keys[name], cost, kept=True)
    missing = [n for n in names if n not in found]
    if missing:
        with measured(device) as cost, reused_memory():
            inputs = Inputs(data, transform, augment)
            inputs.check_lengths(model)
            rooms, note = _run(
                model, chain, data, missing, inputs, plan, hashes[max(missing, key=list(chain).index)], views, pooled,
                batch, dtype, seed, progress, keys,
            )  # fmt: skip
            tensors = {name: room.finish() for name, room in rooms.items()}
        for name in missing:
            if keys[name] and not rooms[name].kept:
                store.write(keys[name], tensors[name])
            found[name] = make(tensors[name], name, hashes[name], keys[name], cost, kept=False)
            if note:
                found[name] = replace(found[name], engine=note)
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
    random = augment is not None or (data.kind == "image" and is_random(transform, data.x[:4]))
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


def is_random(transform, x) -> bool:
    """Whether a transform gives other model input each time for the same images."""
    if isinstance(transform, ImageTransform):
        return False
    if _RANDOM.search(repr(transform)):
        return True
    draws = []
    for seed in range(8):  # a flip with p = .5 gives the same twice in half of the pairs
        with seeded(seed):
            draws.append(transform(x))
    return any(isinstance(d, torch.Tensor) and not torch.equal(d, draws[0]) for d in draws)


def _run(model, chain, data, wanted, inputs, plan, weights, views, pooled, batch, dtype, seed, progress, keys):
    """Send the data through the chain up to the last of the wanted stages; returns rooms, and the engine's note."""
    device, n = model_device(model), len(data)
    last = max(list(chain).index(name) for name in wanted)
    prefix = dict(list(chain.items())[: last + 1])
    rooms = {name: Room(n, views, inputs.lengths, dtype, keys[name]) for name in wanted}
    engine = Engine(prefix, wanted, plan, weights)
    chunks = [(view, part) for view in range(views) for part in inputs.longest_first().split(batch)]
    # The stages too: a set_stages chain may hold modules that are not the model's own.
    everything = nn.ModuleList([model, *prefix.values()])
    try:
        with seeded(seed, device), evaluating(everything), torch.no_grad():
            for view, part in progress_bar(chunks, f"features at {wanted[-1]}", progress):
                for piece, outputs in _through(engine, inputs, part, device):
                    for name, y in outputs.items():
                        held = sum(room.bytes for room in rooms.values())
                        rooms[name].put(average(y) if pooled else y, piece, view, held)
    except BaseException:  # now: whoever keeps the error would keep half a file on the disk as well
        for room in rooms.values():
            room.drop()
        raise
    return rooms, engine.note


def _through(engine: Engine, inputs: Inputs, part: torch.Tensor, device: torch.device):
    """A batch's outputs; in pieces where the device's memory does not hold the whole."""
    try:
        yield part, engine(inputs(part).to(device))
        return
    except torch.OutOfMemoryError:
        if len(part) == 1:
            raise CourseError(
                "The device's memory does not hold a single item.",
                do="Set TLCOURSE_DEVICE=cpu, or choose a smaller size=.",
            ) from None
    if device.type == "cuda":
        torch.cuda.empty_cache()
    for piece in part.tensor_split(2):
        yield from _through(engine, inputs, piece, device)


def average(x):
    """One vector an item: maps averaged over their places, tokens over the text; vectors as they are."""
    if isinstance(x, Tokens):
        weight = x.mask.to(x.x.dtype)[..., None]
        return (x.x * weight).sum(1) / weight.sum(1).clamp(min=1)
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x


def _autocast(device: str) -> str:
    on = torch.is_autocast_enabled(device)
    return str(torch.get_autocast_dtype(device)) if on else ""


def _features(data, tensors, name, weights, key, cost, kept, *, pooled, views, transform, engine) -> Features:
    return Features(
        x=tensors["x"], y=data.y, ids=data.ids, classes=data.classes, stage=name, pooled=pooled,
        mask=tensors.get("mask"), lengths=tensors.get("lengths"), views=views, weights=weights,
        seconds=cost.seconds, memory=cost.memory, kept=kept, key=key, transform=repr(transform), engine=engine,
    )  # fmt: skip
