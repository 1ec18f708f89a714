"""`confusion` and `embedding`: how classes lie to each other."""

from __future__ import annotations

import numpy as np
from matplotlib.patheffects import withStroke

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import array, class_names, class_numbers, same_length
from tlcourse.plots.plot import COLOURS, MARKERS, WIDTH, Plot, drawing, readable
from tlcourse.plots.words import counted, percent, plain, shorten, units


def confusion(labels, predictions=None, classes=None) -> Plot:
    """Which classes are taken for which: a row a true class, the shares of a row add to 1.

    Arguments:
        labels: true class numbers or names `[n]`; or a result with labels, predictions and classes.
        predictions: class numbers or names `[n]`.
        classes: class names.

    Returns a `Plot`. Raises `CourseError` for lengths that differ or unknown classes.

    >>> confusion([0, 0, 1], [0, 1, 1], ("cat", "dog"))
    Of 3 predictions, 2 are right (0.667). Right by class: cat 1 of 2, dog 1 of 1.
    Most confused: cat taken for dog 1 time.
    """
    if predictions is None and hasattr(labels, "predictions"):
        labels, predictions, classes = labels.labels, labels.predictions, classes or labels.classes
    if predictions is None:
        raise CourseError("Predictions are needed beside the labels.", do="Pass a result, or labels and predictions.")
    classes = tuple(plain(c) for c in class_names(classes))
    same_length(labels=array(labels, "labels"), predictions=array(predictions, "predictions"))
    true = class_numbers(labels, classes, "labels")
    guess = class_numbers(predictions, classes, "predictions")
    k = len(classes)
    counts = np.zeros((k, k), int)
    np.add.at(counts, (true, guess), 1)
    of = counts.sum(1)
    shares = counts / np.maximum(of, 1)[:, None]
    with_numbers = k <= 12
    longest = min(max(units(c) for c in classes), 20)
    rest = 0.6 if with_numbers else 1.5  # inches for the axis' name, and for the colour bar
    cell = min(0.66, (WIDTH - rest - 0.06 * longest) / k)
    size = min(10.5, max(7.5, 0.85 * cell * 72))
    step = int(
        np.ceil(size / 0.85 / 72 / cell - 1e-9)
    )  # with very many classes only every second one is named, or fewer
    letters = longest * 0.6 * size / 72
    flat = letters < cell - 0.05
    side, below = cell * k, 0 if flat else 0.7 * letters if k <= 12 else letters
    with drawing(min(WIDTH, max(2.8, side + letters + rest)), side + below + (0.9 if flat else 0.7)) as figure:
        ax = figure.subplots()
        shown = np.ma.masked_array(shares, np.repeat(of[:, None] == 0, k, 1))
        picture = ax.imshow(shown, cmap="Blues", vmin=0, vmax=1)
        names = [shorten(c, 20) for c in classes[::step]]
        slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if k <= 12 else {"rotation": 90}
        ax.set_xticks(range(0, k, step), labels=names, size=size, **({} if flat else slant))
        ax.set_yticks(range(0, k, step), labels=names, size=size)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="white" if with_numbers else "#eeeeee", linewidth=1.5 if with_numbers else 0.4)
        ax.tick_params(which="minor", length=0)
        ax.set(xlabel="predicted", ylabel="true")
        if with_numbers:
            for i, j in np.ndindex(k, k):
                text = "–" if not of[i] else "·" if not counts[i, j] else f"{shares[i, j]:.2f}"
                ax.text(j, i, text, ha="center", va="center", size=9.5, color="white" if shares[i, j] > 0.55 else None)
        else:
            figure.colorbar(picture, ax=ax, shrink=0.6, label="share of the true class", drawedges=False)
    return Plot(figure, _tell_confusion(counts, of, classes))


def _tell_confusion(counts, of, classes):
    right, n = int(np.trace(counts)), int(of.sum())
    words = f"Of {counted(n, 'prediction')}, {right:,} {'is' if right == 1 else 'are'} right ({right / n:.3f})."
    seen = [i for i in range(len(classes)) if of[i]]
    order = seen if len(seen) <= 12 else sorted(seen, key=lambda i: counts[i, i] / of[i])[:6]
    told = ", ".join(f"{classes[i]} {counts[i, i]:,} of {of[i]:,}" for i in order)
    words += f" {'Right by class' if len(seen) <= 12 else 'The worst classes'}: {told}."
    missing = len(classes) - len(seen)
    if missing:
        words += f" {counted(missing, 'class has', 'classes have')} no item."
    off = [(int(counts[i, j]), i, j) for i, j in np.ndindex(counts.shape) if i != j and counts[i, j]]
    off.sort(key=lambda row: (-row[0], row[1:]))
    if off:
        pairs = (f"{classes[i]} taken for {classes[j]} {counted(c, 'time')}" for c, i, j in off[:3])
        words += f" Most confused: {', '.join(pairs)}."
    return words


def embedding(x, y=None, classes=None) -> Plot:
    """Features as points in the plane (their first two principal components): do the classes lie apart?

    Arguments:
        x: features `[n, d]`; or `Features` with their classes.
        y: class numbers or names `[n]`.
        classes: class names.

    Returns a `Plot`. Raises `CourseError` for maps instead of vectors, lengths that differ, or NaN.

    >>> embedding([[0.0, 0], [0, 1], [9, 0], [9, 1]], [0, 0, 1, 1], ("low", "high")).alt
    '4 items of 2 classes ... Of the items, 100 % lie nearest to the middle of their own class, ...'

    Jolliffe 2002; chapter 03.
    """
    if hasattr(x, "x") and hasattr(x, "y"):
        x, y, classes = x.x, x.y if y is None else y, classes or x.classes
    if y is None:
        raise CourseError("The classes of the items are needed.", do="Pass features, or x, y and classes.")
    points = array(x, "features")
    if points.ndim != 2 or points.dtype.kind not in "fiub":
        raise CourseError(
            f"Features need the shape [n, d] and numbers; these have {list(points.shape)}, {points.dtype}.",
            do="Average maps first, e.g. extract(..., pooled=True) or x.mean((2, 3)).",
        )
    points = points.astype(float)
    if not np.isfinite(points).all():
        raise CourseError("Some features are not numbers.", why="A NaN or an infinity came out of the network.")
    classes = tuple(plain(c) for c in class_names(classes))
    same_length(features=points, labels=array(y, "labels"))
    y = class_numbers(y, classes, "labels")
    from tlcourse.explain.plane import plane  # here: the unit loads torch, and most figures need none

    flat, held = plane(points)
    present = [c for c in range(len(classes)) if (y == c).any()]
    middles = {c: np.median(flat[y == c], axis=0) for c in present}
    direct = len(present) <= 12
    with drawing(height=5.0 if direct else 5.0 + 0.2 * ((len(present) + 3) // 4)) as figure:
        ax = figure.subplots()
        for c in present:
            marker, own, size = MARKERS[c % len(MARKERS)], flat[y == c], 30 if len(flat) < 800 else 16
            ax.scatter(
                *own.T, s=size * (2 if marker in "*X+P" else 1), c=COLOURS[c % len(COLOURS)], marker=marker, alpha=0.75,
                linewidths=0.4, edgecolors="white", label=shorten(classes[c], 18),
            )  # fmt: skip
        ax.set(xlabel=f"component 1 ({percent(held[0])} of the variance)", ylabel=f"component 2 ({percent(held[1])})")
        ax.set(xticks=[], yticks=[])
        ax.margins(0.08)
        if direct:
            _name_clouds(ax, middles, classes)
        else:
            figure.legend(
                loc="outside lower center", ncols=4, fontsize=9.5, frameon=False, handletextpad=0.2, markerscale=1.6
            )
    return Plot(figure, _tell_embedding(points, y, classes, present, held))


def _name_clouds(ax, middles, classes):
    """Each class named over the middle of its points; names that would touch are moved apart, up and down."""
    ax.autoscale_view()
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    ax.set(xlim=(left, right), ylim=(low, high))
    place = {c: [(m[0] - left) / (right - left), (m[1] - low) / (high - low)] for c, m in middles.items()}
    wide = {c: 0.014 * units(shorten(classes[c])) for c in place}
    for _ in range(60):
        for a in place:
            for b in place:
                if a < b and abs(place[a][0] - place[b][0]) < (wide[a] + wide[b]) / 2:
                    short = 0.058 - abs(place[a][1] - place[b][1])
                    if short > 0:
                        sign = 1 if place[a][1] >= place[b][1] else -1
                        place[a][1] += sign * short / 2
                        place[b][1] -= sign * short / 2
    for c, (x, y) in place.items():
        half = wide[c] / 2
        ax.text(
            min(max(x, half), 1 - half), min(max(y, 0.03), 0.97), shorten(classes[c]), transform=ax.transAxes,
            ha="center", va="center", size=11, weight="bold", color=readable(COLOURS[c % len(COLOURS)]), zorder=5,
            path_effects=[withStroke(linewidth=3.5, foreground="white")],
        )  # fmt: skip


def _tell_embedding(points, y, classes, present, held):
    words = f"{counted(len(y), 'item')} of {counted(len(present), 'class', 'classes')}"
    words += " as points in the plane of the first two principal components, which hold "
    words += (
        f"{percent(held[0])} and {percent(held[1])} of the variance of {counted(points.shape[1], 'number')} an item."
    )
    if len(present) < 2:
        return words + f" All are {classes[present[0]]}."
    middles = np.stack([points[y == c].mean(0) for c in present])
    # |a - b|^2 written out: an [n, k, d] array of differences could be large
    far = (points**2).sum(1)[:, None] - 2 * points @ middles.T + (middles**2).sum(1)
    own = (np.asarray(present)[far.argmin(1)] == y).mean()
    words += f" Of the items, {percent(own)} lie nearest to the middle of their own class, measured in all dimensions."
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2) + np.diag(np.full(len(present), np.inf))
    i, j = np.unravel_index(apart.argmin(), apart.shape)
    return words + f" The two classes whose middles lie closest are {classes[present[i]]} and {classes[present[j]]}."
