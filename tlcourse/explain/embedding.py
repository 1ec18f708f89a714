"""`embed`: what a chain makes of some items, stage by stage, as points in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from tlcourse.chain import pick, stages
from tlcourse.datasets import Split
from tlcourse.errors import CourseError, whole_number
from tlcourse.explain.plane import plane, turned
from tlcourse.explain.separation import neighbours_agree
from tlcourse.features import Features, extract
from tlcourse.hardware import measured


@dataclass(frozen=True, eq=False)
class Embedding:
    """Items as points in the plane, at each stage of a chain.

    Arguments:
        stages: names of the stages, from the input on.
        points: places `[stages, n, 2]`; at each stage the farthest point has the distance 1 from the middle.
        held: share of the variance that the plane holds `[stages]`.
        widths: how many numbers an item has at the stage `[stages]`.
        agree: for each stage the share of items that their nearest neighbours put into the right class (`"class"`),
            into the right domain (`"domain"`), and into the right class if neighbours may be of *other* domains only
            (`"class across domains"`); measured in all dimensions, not in the plane. Lists `[stages]`.
        usual: share of the most frequent class and domain: what a guess that never looks reaches.
        y, domain: class and domain numbers `[n]`.
        classes, domains: their names.
        kind: `"image"` or `"text"`.
        x: the items themselves: a list of uint8 arrays `[c, h, w]`, or of texts.
        ids: a name for each item.
        of: how many items there were; more than `n` if some were drawn at random.
        seconds: what it cost, in wall seconds.
    """

    stages: tuple[str, ...]
    points: np.ndarray = field(repr=False)
    held: np.ndarray = field(repr=False)
    widths: tuple[int, ...]
    agree: dict[str, list[float]]
    usual: dict[str, float]
    y: np.ndarray = field(repr=False)
    domain: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    kind: str
    x: list = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    of: int = 0
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.y)

    def framed(self) -> np.ndarray:
        """Places `[stages, n, 2]` for a picture: at each stage they fill a square from -1 to 1, proportions kept."""
        low, high = self.points.min(1, keepdims=True), self.points.max(1, keepdims=True)
        half = (high - low).max(2, keepdims=True) / 2
        return (self.points - (low + high) / 2) / np.where(half > 0, half, 1)

    def __repr__(self) -> str:
        drawn = f" (drawn from {self.of:,})" if self.of > len(self) else ""
        words = f"{len(self)} {self.kind}s{drawn} of {len(self.classes)} classes"
        words += f" in {len(self.domains)} domains ({', '.join(self.domains[:8])})" if len(self.domains) > 1 else ""
        words += f" at {len(self.stages)} stages. "
        for name, values in self.agree.items():
            best = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
            at = {self.stages[i]: f"{values[i]:.2f} at {self.stages[i]}" for i in (0, best, len(values) - 1)}
            words += f"Neighbours name the {name.replace(' across', ' right across')}: {', '.join(at.values())}. "
        return words.strip()


def embed(
    model: nn.Module,
    data: Split | Mapping[str, Split],
    stage: str | Sequence[str] | None = None,
    *,
    k: int = 5,
    most: int = 800,
    seed: int = 0,
    **options,
) -> Embedding:
    """Items as points in the plane at each stage of a chain, with a score of how well the classes lie apart there.

    All stages come from one pass over the data (and from the features on disk, where they were kept), maps averaged
    over places and tokens over the text. At each stage the plane is that of the first two principal components, turned
    and mirrored so that points move little from one stage to the next. A plane shows a part of the truth: `held` tells
    how much of the variance it holds, and `agree` is measured in all dimensions.

    Arguments:
        model: any model whose `stages` are known.
        data: a `Split`, or several by name: domains. Classes of the same name are the same class.
        stage: names or globs of stages; by default all.
        k: number of neighbours that vote for `agree`.
        most: at most so many items in all; more are drawn from, class by class and domain by domain.
        seed: of that draw.
        options: passed on to `extract`, e.g. `transform=` or `cache=False`.

    Returns an `Embedding`. Raises `CourseError` for data that do not go together or features that are no numbers.

    >>> from tlcourse import load, load_dataset
    >>> net = load("efficientnet-lite0", pretrained=False, size=32)
    >>> made = embed(net, load_dataset("faces").train, ["stem", "pool"], cache=False)
    >>> made.points.shape, made.classes
    ((2, 80, 2), ('not a face', 'face'))

    Chapter 03. Alain and Bengio 2016 look at each stage in this way, with linear probes.
    """
    whole_number("most", most, 2)
    parts, kind = _domains(data)
    of = sum(len(split) for split in parts.values())
    parts = _drawn(parts, most, seed)
    names = list(dict(stages(model).named_children()))
    if stage is not None:
        names = pick(model, *([stage] if isinstance(stage, str) else stage))
    if not names:
        raise CourseError("No stage was named.", do='Name some, e.g. embed(model, data, ["stem", "pool"]).')
    classes = tuple(dict.fromkeys(name for split in parts.values() for name in split.classes))
    y = np.concatenate([_renumbered(split, classes) for split in parts.values()])
    domain = np.repeat(np.arange(len(parts)), [len(split) for split in parts.values()])
    with measured() as cost:
        made = [extract(model, split, names, pooled=True, **options) for split in parts.values()]
        flat, held, widths, agree = [], [], [], {}
        for name in names:
            x = np.concatenate([_vectors(features.pop(name)) for features in made])  # let go as soon as it is used
            places, shares = plane(x)
            flat.append(places / (np.linalg.norm(places, axis=1).max() or 1.0))
            held.append(shares.sum())
            widths.append(x.shape[1])
            for group, value in _agreement(x, y, domain, k, len(parts)).items():
                agree.setdefault(group, []).append(value)
        for i in range(len(flat) - 2, -1, -1):  # the last stage stands as it is; the others are turned towards it
            flat[i] = turned(flat[i], flat[i + 1])
    usual = {"class": np.bincount(y).max() / len(y)}
    usual |= {"domain": np.bincount(domain).max() / len(y)} if len(parts) > 1 else {}
    return Embedding(
        stages=tuple(names), points=np.stack(flat).astype(np.float32), held=np.array(held), widths=tuple(widths),
        agree=agree, usual={group: float(share) for group, share in usual.items()}, y=y, domain=domain,
        classes=classes, domains=tuple(parts), kind=kind,
        x=[item if kind == "text" else item.numpy() for split in parts.values() for item in split.x],
        ids=tuple(item for split in parts.values() for item in split.ids), of=of, seconds=cost.seconds,
    )  # fmt: skip


def _domains(data) -> tuple[dict[str, Split], str]:
    parts = dict(data) if isinstance(data, Mapping) else {getattr(data, "name", ""): data}
    for name, split in parts.items():
        if not hasattr(split, "fingerprint"):
            raise CourseError(
                f"A split of data is needed{f' as {name!r}' if name else ''}, not a {type(split).__name__}.",
                do='Pass e.g. data.test, or several: {"train": data.train, "test": data.test}.',
            )
    parts = {str(name): split for name, split in parts.items() if len(split)}
    if sum(map(len, parts.values())) < 2:
        raise CourseError("There is nothing to show: at least two items are needed.", do="Pass a split with items.")
    kinds = sorted({split.kind for split in parts.values()})
    if len(kinds) > 1:
        raise CourseError("Images and texts cannot be shown together.", do="Pass domains of one kind.")
    return parts, kinds[0]


def _drawn(parts: dict[str, Split], most: int, seed: int) -> dict[str, Split]:
    """At most so many items, of each class and domain about its share, at least one of each while there is room."""
    total = sum(map(len, parts.values()))
    if total <= most:
        return parts
    rank, where = [], []
    for number, split in enumerate(parts.values()):
        y, place = split.y.numpy(), np.empty(len(split))
        for c in np.unique(y):
            own = np.flatnonzero(y == c)
            # the first of every class comes before the second of any large one
            order = np.random.default_rng([seed, number, int(c)]).permutation(len(own))
            place[own[order]] = np.arange(len(own)) / len(own)
        rank.append(place)
        where += [(number, i) for i in range(len(split))]
    chosen = [where[i] for i in np.argsort(np.concatenate(rank), kind="stable")[:most]]
    kept = {name: sorted(i for n, i in chosen if n == number) for number, name in enumerate(parts)}
    return {name: split[kept[name]] for name, split in parts.items() if kept[name]}


def _renumbered(split: Split, classes: Sequence[str]) -> np.ndarray:
    return np.array([classes.index(name) for name in split.classes])[split.y.numpy()]


def _vectors(features: Features) -> np.ndarray:
    x = features.x.detach().float().flatten(1).numpy()
    if not np.isfinite(x).all():
        raise CourseError(
            f"Some features at stage {features.stage!r} are not numbers.",
            why="A NaN or an infinity came out of the network.",
            do="Look for a training that diverged, or a precision that is too low.",
        )
    return x


def _agreement(x, y, domain, k: int, domains: int) -> dict[str, float]:
    agree = {"class": neighbours_agree(x, y, k=k)} if len(np.unique(y)) > 1 else {}
    if domains > 1:
        if agree and any(len(np.unique(domain[y == c])) > 1 for c in np.unique(y)):
            agree["class across domains"] = neighbours_agree(x, y, k=k, apart=domain)
        agree["domain"] = neighbours_agree(x, domain, k=k)
    return agree
