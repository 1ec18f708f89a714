"""Probes: the simplest learners on kept features, from scikit-learn."""

from __future__ import annotations

import warnings

import torch

from tlcourse.errors import CourseError
from tlcourse.features.kept import Features
from tlcourse.features.results import Result
from tlcourse.hardware import measured, one_blas_thread


def linear_probe(train: Features, test: Features, *, C: float | None = 1.0, seed: int = 0) -> Result:
    """Accuracy of logistic regression on features: how linearly a stage separates the classes.

    The features are first centred on the mean of the *training items* and divided by one spread common to all of
    them. A spread for each feature, from four items a class, would be an accident, and costs accuracy.

    Arguments:
        train, test: features of the same stage.
        C: inverse strength of the regularisation; None chooses .01, .1, 1 or 10 by cross-validation on `train`.
        seed: of the cross-validation's folds.

    Returns a `Result`. Raises `CourseError` when the features do not go together.

    >>> import torch
    >>> x, y = torch.tensor([[0.0], [0.1], [1.0], [1.1]]), torch.tensor([0, 0, 1, 1])
    >>> f = Features(x, y, ("a", "b", "c", "d"), ("low", "high"), "pool")
    >>> linear_probe(f, f).accuracy
    1.0

    Alain and Bengio 2016; chapter 03.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    if C is not None and C <= 0:
        raise CourseError(f"C={C} is not a strength.", do="Choose C above 0, or C=None to have it chosen.")
    probe, note = make_pipeline(_one_scale(), LogisticRegression(C=C or 1.0, max_iter=500)), ""
    _check(train, test)
    if C is None:
        few = int(train.y.bincount()[train.y.unique()].min())
        if few < 2:
            note = "C = 1: a class has one item, too few to choose by cross-validation"
        else:
            # all views of an item go into one fold, or the choice would be made on items that are known
            by = StratifiedGroupKFold if train.views > 1 else StratifiedKFold
            folds = by(min(5, few), shuffle=True, random_state=seed)
            probe = GridSearchCV(probe, {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}, cv=folds)
    return _score(probe, train, test, note)


def knn_probe(train: Features, test: Features, *, k: int = 5) -> Result:
    """Accuracy of the `k` nearest neighbours by cosine similarity: nothing is trained at all.

    Arguments:
        train, test: features of the same stage.
        k: number of neighbours that vote, the nearer the more; at most as many as there are training items.

    Returns a `Result`. Raises `CourseError` when the features do not go together.

    >>> import torch
    >>> x, y = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), torch.tensor([0, 0, 1, 1])
    >>> f = Features(x, y, ("a", "b", "c", "d"), ("right", "up"), "pool")
    >>> knn_probe(f, f, k=1).accuracy
    1.0

    Chapter 03.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if k < 1:
        raise CourseError(f"k={k} is not a number of neighbours.", do="Choose a whole number from 1.")
    _check(train, test)
    k = min(k, len(train) * train.views)
    return _score(KNeighborsClassifier(k, weights="distance", metric="cosine"), train, test, f"k = {k}")


def _check(train: Features, test: Features) -> None:
    for part in (train, test):
        if not isinstance(part, Features):
            raise CourseError(
                f"A probe reads features, not a {type(part).__name__}.", do="Extract them first: extract(model, data)."
            )
        if not len(part):
            raise CourseError("There are no items to probe.", do="Check how the features were selected.")
        if not part.flat()[0].isfinite().all():
            raise CourseError(
                "The features hold NaN or infinite values.", do="Extract them in float32, and check the data."
            )
    x, x_test = train.flat()[0], test.flat()[0]
    if train.stage != test.stage or x.shape[1] != x_test.shape[1] or (train.weights or 0) != (test.weights or 0):
        raise CourseError(
            f"Training features are of stage {train.stage!r} ({x.shape[1]} numbers), test features of "
            f"{test.stage!r} ({x_test.shape[1]})" + (", of other weights." if train.stage == test.stage else "."),
            do="Extract both with the same model at the same stage.",
        )
    if train.transform and test.transform and train.transform != test.transform:
        raise CourseError(
            "Training and test features went through different transforms.",
            why=f"{train.transform} in training, {test.transform} in the test.",
            do="Extract both with the same model and size.",
        )
    if tuple(train.classes) != tuple(test.classes):
        raise CourseError(
            f"The classes differ: {', '.join(train.classes)} in training, {', '.join(test.classes)} in the test.",
            do="Take both from one data set.",
        )
    if test.views > 1:
        raise CourseError(
            "The test features hold several random views of each item.",
            why="Views of one item are no independent items: the interval would come out too narrow.",
            do="Extract the test items without augment= and views=.",
        )
    if len(train.y.unique()) < 2:
        raise CourseError("A probe needs at least two classes to tell apart; the training items have one.")


def _one_scale():
    from sklearn.base import BaseEstimator, TransformerMixin

    class OneScale(TransformerMixin, BaseEstimator):
        """Centre each feature on its training mean; divide all by one root mean square."""

        def fit(self, x, y=None):
            self.mean_ = x.mean(0)
            self.scale_ = float(((x - self.mean_) ** 2).mean() ** 0.5) or 1.0
            return self

        def transform(self, x):
            return (x - self.mean_) / self.scale_

    return OneScale()


def _score(probe, train: Features, test: Features, note: str) -> Result:
    (x, y), (x_test, y_test) = train.flat(), test.flat()
    chosen, more = hasattr(probe, "param_grid"), {}
    if chosen and train.views > 1:
        more["groups"] = torch.arange(len(train)).repeat_interleave(train.views).numpy()
    # one thread: such small problems only lose by more, and lose badly when the other core is busy
    with measured() as cost, one_blas_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")  # close enough to compare stages
        probe.fit(x.numpy(), y.numpy(), **more)
        predictions = probe.predict(x_test.numpy())
    if chosen:
        note = f"C = {probe.best_params_['logisticregression__C']:g}"
    return Result.of(y_test.numpy(), predictions, test.classes, seconds=cost.seconds, note=note)
