"""`extract`: send data through the first stages of a chain, once, and keep what comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from torch import nn

import tlcourse
from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName
from tlcourse.features import store
from tlcourse.features.kept import Features
from tlcourse.features.modes import evaluating, model_device
from tlcourse.hardware import measured, progress_bar
from tlcourse.models import Tokens


def extract(
    model: nn.Module,
    data,
    stage: str | Sequence[str] = "pool",
    *,
    pooled: bool = False,
    transform: Callable | None = None,
    augment: Callable | None = None,
    views: int | None = None,
    batch: int = 64,
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
        augment: a random map of uint8 images `[n, c, h, w]`, applied before the transform; asks for `views`.
        views: how many random views of each item are kept.
        batch: items at once.
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
    names = [stage] if isinstance(stage, str) else list(stage)
    chain = dict(stages(model).named_children())
    for name in names:
        if name not in chain:
            raise UnknownName("stage", name, chain)
    transform = transform or getattr(model, "transform", None)
    _check(data, transform, augment, views)
    views = views or 1
    hashes = stage_hashes(chain)
    keys = {n: _key(n, hashes[n], data, transform, augment, pooled, views, dtype, seed, model) for n in names}
    found: dict[str, Features] = {}
    for name in names:
        if cache and keys[name]:
            with measured() as cost:
                tensors = store.read(keys[name])
            if tensors is not None:
                found[name] = _features(data, tensors, name, pooled, views, hashes[name], keys[name], cost, True)
    missing = [n for n in names if n not in found]
    if missing:
        with measured(model_device(model)) as cost:
            made = _run(model, chain, data, missing, transform, augment, views, pooled, batch, dtype, seed, progress)
        for name, tensors in made.items():
            found[name] = _features(data, tensors, name, pooled, views, hashes[name], keys[name], cost, False)
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


def _is_random(transform, x) -> bool:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = transform(x)
        torch.manual_seed(2)
        return not torch.equal(first, transform(x))


def _run(model, chain, data, names, transform, augment, views, pooled, batch, dtype, seed, progress):
    device, n = model_device(model), len(data)
    last = max(list(chain).index(name) for name in names)
    order = _by_length(data)
    out: dict[str, list] = {name: [] for name in names}
    with torch.random.fork_rng(devices=[]), evaluating(model), torch.no_grad():
        torch.manual_seed(seed)
        chunks = [(view, part) for view in range(views) for part in order.split(batch)]
        for _, part in progress_bar(chunks, f"features at {names[-1]}", progress):
            x = data.x[part] if data.kind == "image" else [data.x[i] for i in part.tolist()]
            x = transform(augment(x) if augment else x).to(device)
            for name, stage in list(chain.items())[: last + 1]:
                x = stage(x)
                if name in out:
                    out[name].append(_on_cpu(_average(x) if pooled else x, dtype))
    place = torch.cat([order + view * n for view in range(views)]).argsort()
    return {name: _joined(parts, place, n, views) for name, parts in out.items()}


def _on_cpu(x, dtype):
    return Tokens(x.x.to("cpu", dtype), x.mask.cpu()) if isinstance(x, Tokens) else x.to("cpu", dtype)


def _by_length(data) -> torch.Tensor:
    if data.kind == "image":
        return torch.arange(len(data))
    return torch.tensor([len(text) for text in data.x]).argsort(stable=True)  # texts of a length need little padding


def _average(x):
    if isinstance(x, Tokens):
        weight = x.mask.to(x.x.dtype)[..., None]
        return (x.x * weight).sum(1) / weight.sum(1).clamp(min=1)
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x


def _joined(parts, place, n, views) -> dict[str, torch.Tensor]:
    if isinstance(parts[0], Tokens):
        longest = max(p.mask.shape[1] for p in parts)
        pad = [longest - p.mask.shape[1] for p in parts]
        x = [nn.functional.pad(p.x, (0, 0, 0, k)) for p, k in zip(parts, pad, strict=True)]
        mask = [nn.functional.pad(p.mask, (0, k)) for p, k in zip(parts, pad, strict=True)]
        tensors = {"x": torch.cat(x)[place], "mask": torch.cat(mask)[place]}
    else:
        tensors = {"x": torch.cat(parts)[place]}
    if views > 1:
        tensors = {k: t.unflatten(0, (views, n)).transpose(0, 1).contiguous() for k, t in tensors.items()}
    return tensors


def _features(data, tensors, name, pooled, views, weights, key, cost, kept) -> Features:
    return Features(
        x=tensors["x"], y=data.y, ids=data.ids, classes=data.classes, stage=name, pooled=pooled,
        mask=tensors.get("mask"), views=views, weights=weights, seconds=cost.seconds, memory=cost.memory,
        kept=kept, key=key,
    )  # fmt: skip


def stage_hashes(chain: dict[str, nn.Module]) -> dict[str, str]:
    """A hash of all tensors up to and with each stage: a new head changes no key of what comes before it."""
    running, hashes = hashlib.sha256(), {}
    for name, stage in chain.items():
        running.update(f"{name}:{stage!r}".encode())
        for key, tensor in (*stage.named_parameters(), *stage.named_buffers()):
            running.update(f"{key}{tensor.dtype}{tuple(tensor.shape)}".encode())
            running.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        hashes[name] = running.hexdigest()
    return hashes


def _key(name, weights, data, transform, augment, pooled, views, dtype, seed, model) -> str | None:
    parts = {
        "stage": name,
        "weights": weights,
        "transform": repr(transform),
        "augment": repr(augment),
        "seed": seed if augment or views > 1 else 0,
        "pooled": pooled,
        "views": views,
        "dtype": str(dtype),
        "data": data.fingerprint,
        "made by": [tlcourse.__version__, torch.__version__, model_device(model).type],
    }
    if " at 0x" in parts["transform"] + parts["augment"]:
        return None  # an address says nothing about what the function does: such features are not kept
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]
