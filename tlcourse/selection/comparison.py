"""`compare`: several pretrained models for one task, before any of them is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features import Features, extract, knn_probe, linear_probe
from tlcourse.hardware import measured
from tlcourse.models import load
from tlcourse.selection.hscore import h_score
from tlcourse.selection.leep import leep
from tlcourse.selection.logme import logme


def compare(models, data, *, stage: str = "pool", folds: int = 5, seed: int = 0, cache: bool = True):
    """Scores that say how well pretrained models suit a task, beside simple probes and what they cost.

    Every figure comes from labelled items that are there for learning. The probes are cross-validated on them: each
    item is told by a probe that has not seen it. The test split is refused, as a model chosen on it would look better
    than it is.

    Arguments:
        models: name -> model; or a list. A model is a name that `load` takes, a model, or `Features` of `data`.
        data: a `Split` of labelled items; of a `Dataset` its `train` is taken.
        stage: whose output is scored.
        folds: parts of the cross-validation; fewer where a class has fewer items.
        seed: of the folds.
        cache: False computes features that were kept, so that `seconds` says what they cost.

    Returns a table, a row a model, in the given order:

    - `logme`, `h_score`: of the features; `leep`: of the shares of the model's own classes, NaN for a model without
      a head of its source.
    - `linear probe`, `knn`: accuracy.
    - `seconds`: for the features (the time of reading them, where they were kept) and all that is in the row.
    - `parameters`: of the stages up to `stage`; NaN where only features were given.

    Scores of different data cannot be compared, only their order on the same data, and that only so far: with some
    hundred items of small digits, H-score puts a network with random weights first. `benchmarks/selection.py`
    fine-tunes six starts on four sets and tells how often each score is right. Raises `CourseError` for the test
    split, classes with one item, and features of other items.

    >>> import torch
    >>> from tlcourse import load_dataset
    >>> few = load_dataset("faces").train.shots(5)
    >>> pixels = Features(few.x.flatten(1).float(), few.y, few.ids, few.classes, "pixels")
    >>> compare({"pixels": pixels}, few).columns.tolist()
    ['logme', 'leep', 'h_score', 'linear probe', 'knn', 'seconds', 'parameters']

    You et al. 2021; Nguyen et al. 2020; Bao et al. 2019; Agostinelli et al. 2022 (how stable such rankings are).
    Chapter 08.
    """
    import pandas as pd

    data = _items(data)
    parts = _folds(data, whole_number("folds", folds, 2), whole_number("seed", seed, 0))
    rows = {}
    for name, model in _named(models).items():
        try:
            with measured() as cost:
                row, parameters = _row(name, model, data, stage, cache, parts)
        except CourseError as error:  # of several models it has to be told which one
            CourseError.__init__(error, f"{name!r} cannot be compared. {error.what}", why=error.why, do=error.do)
            raise
        rows[name] = {**row, "seconds": cost.seconds, "parameters": parameters}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _row(name: str, model, data, stage: str, cache: bool, parts) -> tuple[dict[str, float], float]:
    """A model's scores, and its parameters up to the stage."""
    features, shares, parameters = _read(name, model, data, stage, cache)
    row = {"logme": logme(features), "leep": np.nan if shares is None else leep(shares, data.y)}
    row["h_score"] = h_score(features)
    row["linear probe"] = _crossed(linear_probe, features, parts)
    row["knn"] = _crossed(knn_probe, features, parts)
    return row, parameters


def _items(data):
    if hasattr(data, "train") and hasattr(data, "test"):
        data = data.train
    if not hasattr(data, "fingerprint"):
        raise CourseError(
            f"Models are compared on a split of data, not on a {type(data).__name__}.",
            do='Pass e.g. load_dataset("faces").train.',
        )
    if data.name == "test":
        raise CourseError(
            "A model is not chosen on the test split.",
            why="Of several models the best one there owes a part of its lead to luck, and the measurement that the "
            "split is kept for would tell too much.",
            do="Pass data.train, or data.valid.",
        )
    counts = data.y.unique(return_counts=True)[1] if len(data) else []
    if len(counts) < 2:
        raise CourseError(
            f"A comparison needs at least two classes to tell apart; these {len(data)} items have {len(counts)}.",
            do="Check how the items were selected, e.g. data.counts().",
        )
    if int(counts.min()) < 2:
        raise CourseError(
            "A class has one item: it cannot be learned from and scored at once.",
            why=f"There are {len(data)} items of {len(counts)} classes.",
            do="Pass at least two items of each class, e.g. data.shots(2).",
        )
    return data


def _named(models) -> dict[str, object]:
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    elif isinstance(models, str | nn.Module | Features):
        return _named([models])
    elif isinstance(models, Sequence):
        names = [_name(model, place) for place, model in enumerate(models)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise CourseError(
                f"Two of the models are called {twice!r}.", do='Name them: compare({"a": first, "b": second}, data).'
            )
        named = dict(zip(names, models, strict=True))
    else:
        named = {}
    if not named:
        raise CourseError(
            "There are no models to compare.", do='Pass e.g. {"ImageNet": load("efficientnet-lite0"), ...}.'
        )
    return named


def _name(model, place: int) -> str:
    card = getattr(model, "card", None)
    if card is not None:
        return card.name if card.pretrained else f"{card.name}, random weights"
    return model if isinstance(model, str) else f"model {place}"


def _folds(data, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedKFold

    few = int(data.y.unique(return_counts=True)[1].min())
    return list(StratifiedKFold(min(folds, few), shuffle=True, random_state=seed).split(data.y, data.y))


def _read(name: str, model, data, stage: str, cache: bool):
    """Features of the data, the shares of the model's own classes or None, and the parameters up to the stage."""
    if isinstance(model, Features):
        if model.ids != data.ids:
            raise CourseError(
                f"The features called {name!r} are of other items than the data.",
                do="Extract them from the same split that you pass: extract(model, data).",
            )
        return model, None, np.nan
    model = load(model) if isinstance(model, str) else model
    chain = dict(stages(model).named_children())
    if stage not in chain:
        raise UnknownName("stage", stage, chain, do="Models with other stages can be passed as features.")
    wanted = [stage, "head"] if _source_head(model, chain, data) and stage != "head" else [stage]
    found = extract(model, data, wanted, pooled=True, cache=cache)
    inside = list(chain)[: list(chain).index(stage) + 1]
    parameters = sum(p.numel() for part in inside for p in chain[part].parameters())
    shares = found["head"].x.double().softmax(1) if "head" in wanted[1:] else None
    return found[stage], shares, parameters


def _source_head(model, chain, data) -> bool:
    """Whether a model's head knows the classes of its source: names, and others than those of the data."""
    classes = tuple(getattr(model, "classes", None) or ())
    if "head" not in chain or not any(True for _ in chain["head"].parameters()):
        return False
    return bool(classes) and classes not in (tuple(data.classes), tuple(map(str, range(len(classes)))))


def _crossed(probe, features: Features, parts) -> float:
    right = [probe(features[train], features[held]) for train, held in parts]
    return float(sum(result.accuracy * result.n for result in right) / sum(result.n for result in right))
