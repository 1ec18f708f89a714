"""What figures are made of, checked and turned into numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tlcourse.errors import CourseError, UnknownName
from tlcourse.plots.words import plain


def array(values, name: str) -> np.ndarray:
    """A tensor on any device, a list or a table's column, as a numpy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    try:
        out = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise CourseError(f"The {name} cannot be read as numbers.", why=str(error)) from None
    if out.size == 0:
        raise CourseError(f"There are no {name} to draw.", why="What was passed is empty.")
    return out


def numbers(values, name: str, *, missing: bool = False) -> np.ndarray:
    """A float array `[n]`; NaN is an error unless `missing` may stand for a value that was not measured."""
    out = array(values, name)
    try:
        out = out.astype(float)
    except (TypeError, ValueError):
        raise CourseError(f"The {name} are not numbers.", why=f"The first is {out.flat[0]!r}.") from None
    if out.ndim != 1:
        raise CourseError(f"The {name} need one axis; they have the shape {list(out.shape)}.")
    if not missing and not np.isfinite(out).all():
        where = int(np.flatnonzero(~np.isfinite(out))[0])
        raise CourseError(
            f"The {name} have a value that is not a number, at position {where}.",
            why="A mean of nothing gives NaN, and so does a training that diverged.",
            do="Look at the values, and leave out the run that failed.",
        )
    return out


def same_length(**named) -> None:
    """Raises when the arguments are not equally long."""
    lengths = {name.replace("_", " "): len(values) for name, values in named.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{n} {name}" for name, n in lengths.items())
        raise CourseError(f"These do not belong together: {shown}.", do="Pass one of each for every item.")


def class_numbers(values, classes: Sequence[str], name: str) -> np.ndarray:
    """Class numbers `[n]` from numbers or class names."""
    out = array(values, name)
    if out.ndim != 1:
        raise CourseError(f"The {name} need one axis; they have the shape {list(out.shape)}.")
    if out.dtype.kind in "UOS":
        for value in out:
            if str(value) not in classes:
                raise UnknownName("class", value, classes)
        return np.asarray([list(classes).index(str(value)) for value in out])
    if out.dtype.kind == "f" and not (np.isfinite(out).all() and (out == out.astype(int)).all()):
        raise CourseError(f"The {name} are not class numbers.", why=f"The first is {out[0]}.")
    if out.min() < 0 or out.max() >= len(classes):
        odd = int(out.min() if out.min() < 0 else out.max())
        raise CourseError(
            f"The {name} name class {odd}, but there are {len(classes)} classes (0 to {len(classes) - 1}).",
            do="Pass the class names of the same data set.",
        )
    return out.astype(int)


def class_names(classes) -> tuple[str, ...]:
    """Class names as a tuple; one string is not a list of letters."""
    if classes is None or isinstance(classes, str):
        raise CourseError("The names of the classes are needed.", do="Pass e.g. data.train.classes.")
    if not len(classes):
        raise CourseError("There are no classes.", do="Pass at least one class name.")
    return tuple(str(c) for c in classes)


def estimates(names, values, low, high, name: str):
    """Names, values and intervals (or None) from lists, or from a mapping of names to numbers or results."""
    if isinstance(names, Mapping):
        if values is not None:
            raise CourseError("Values were passed twice.", do="Pass a mapping alone, or names and values.")
        rows = [_estimate(value) for value in names.values()]
        values = [row[0] for row in rows]
        if low is None and high is None and rows and any(row[1] is not None for row in rows):
            low = [row[0] if row[1] is None else row[1] for row in rows]
            high = [row[0] if row[2] is None else row[2] for row in rows]
        names = list(names)
    elif values is None:
        raise CourseError(f"The {name} are needed.", do="Pass a mapping of names to values, or names and values.")
    names, values = [plain(n) for n in names], numbers(values, name)
    same_length(names=names, **{name.replace(" ", "_"): values})
    if (low is None) != (high is None):
        raise CourseError("An interval has two ends.", do="Pass both low= and high=, or neither.")
    if low is not None:
        low, high = numbers(low, "lower ends"), numbers(high, "upper ends")
        same_length(names=names, lower_ends=low, upper_ends=high)
        if (low > values + 1e-9).any() or (high < values - 1e-9).any():
            raise CourseError(
                "A value lies outside its own interval.",
                why="The first end of an interval must be the lower one, and the value between the ends.",
                do="Check whether low= and high= were swapped, or are half-widths instead of ends.",
            )
    return names, values, low, high


def _estimate(value):
    if hasattr(value, "accuracy"):
        return value.accuracy, getattr(value, "low", None), getattr(value, "high", None)
    if hasattr(value, "seeds"):  # what repeat returned; a share is never below 0 or above 1, whatever Student's t says
        share = min(value.values) >= 0 and max(value.values) <= 1
        return value.mean, max(0.0, value.low) if share else value.low, min(1.0, value.high) if share else value.high
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
        return tuple(value)
    return value, None, None


def levels(baseline) -> dict[str, float]:
    """Level lines: name -> value, from a number or a mapping."""
    if baseline is None:
        return {}
    if not isinstance(baseline, Mapping):
        baseline = {"baseline": baseline}
    return dict(zip(map(plain, baseline), numbers(list(baseline.values()), "baselines"), strict=True))
