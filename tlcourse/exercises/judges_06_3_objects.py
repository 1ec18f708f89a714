"""Checks of chapter 06-3's third exercise: from depth to objects."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call


def heap(kind: str = "heap"):
    """Foreground and depth of a heap of discs that touch, as a network might see them, or of an empty picture."""
    import numpy as np

    rows, columns = np.mgrid[:48, :48]
    foreground, depth = np.zeros((48, 48), bool), np.zeros((48, 48))
    discs = () if kind == "empty" else ((14, 14, 9), (14, 29, 9), (30, 22, 9), (41, 9, 6))
    for row, column, radius in discs:
        far = 1 - np.hypot(rows - row, columns - column) / radius
        foreground |= far > 0
        depth = np.maximum(depth, far)
    if discs:
        depth[3, 40:44] = 0.9  # the network errs: something deep where it saw no foreground
    return foreground, depth.clip(0, 1)


def odd_heap():
    """Three objects of which depth tells another story than the outline: `foreground, depth`.

    Two middles with a saddle deeper than 0.5, which are one object; one that is nowhere deeper than 0.6; a bar whose
    two objects differ in how fast they get deep; and a part that is nowhere deeper than 0.5, and is no object.
    """
    import numpy as np

    rows, columns = np.mgrid[:48, :48]
    depth = np.zeros((48, 48))
    for row, column, radius, top in ((12, 10, 9, 1.0), (12, 18, 9, 1.0), (10, 38, 8, 0.6), (30, 7, 6, 0.45)):
        depth = np.maximum(depth, top * (1 - np.hypot(rows - row, columns - column) / radius))
    bar = np.maximum(1 - abs(columns - 18) / 6, 1 - abs(columns - 40) / 16)
    inside = (abs(rows - 38) < 6) & (abs(columns - 30) < 14)
    depth = np.where(inside, bar.clip(0.05), depth)
    return depth > 0, depth.clip(0, 1)


def _numbers(got, foreground):
    import numpy as np

    if got is None:
        raise NotYet("Your function returns nothing. Return the numbers of the objects, `[h, w]`.")
    if isinstance(got, tuple):
        raise NotYet("You return several things (`ndimage.label` gives two). Return the numbers of the pixels alone.")
    got = np.asarray(got)
    if got.ndim == 0:
        raise NotYet("That is one number. Return a number for each pixel, not how many objects there are.")
    if got.shape != foreground.shape:
        raise NotYet(f"The result has the shape {list(got.shape)}; each pixel needs a number.")
    if got.dtype == bool:
        raise NotYet("True and False cannot tell objects apart. Return whole numbers, another one for each object.")
    if got.dtype.kind not in "iu":
        if not np.isfinite(got).all() or (got != np.rint(got)).any():
            raise NotYet("The result holds no whole numbers. Return the numbers of the objects.")
        got = got.astype(int)
    return got


def apart(split_objects) -> None:
    """06-3.3: the discs one by one, each whole; nothing outside the foreground; an empty picture stays empty."""
    import numpy as np
    from skimage.measure import label
    from skimage.segmentation import watershed

    foreground, depth = heap()
    kept = foreground.copy(), depth.copy()
    got = _numbers(call(split_objects, foreground, depth), foreground)
    if not (np.array_equal(foreground, kept[0]) and np.array_equal(depth, kept[1])):
        raise NotYet("Your function changed what it was given. Compute something new, and leave the arrays alone.")
    seeds = label(foreground & (depth > 0.5))
    right = watershed(-depth, seeds, mask=foreground)
    if not _same(got, right):
        raise NotYet(_why(got, right, seeds, foreground, depth))
    _odd(split_objects)
    got = _numbers(call(split_objects, *heap("empty")), foreground)
    if got.any():
        raise NotYet("In a picture without foreground there is no object: all numbers should be 0.")


def _odd(split_objects) -> None:
    import numpy as np
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import label
    from skimage.segmentation import watershed

    foreground, depth = odd_heap()
    got = _numbers(call(split_objects, foreground.copy(), depth.copy()), foreground)
    right = watershed(-depth, label(depth > 0.5), mask=foreground)
    if _same(got, right):
        return
    if _same(got, watershed(-distance_transform_edt(foreground), label(depth > 0.5), mask=foreground)):
        raise NotYet(
            "You flood the distance to the outline, which you measured yourself. The network has said how deep a pixel "
            "lies: flood `-depth`."
        )
    lost, more = (right > 0) & (got == 0), (got > 0) & (right == 0)
    if more.any() and not lost.any():
        raise NotYet("A part that is nowhere deeper than 0.5 has no seed, and so no number. Yours gives it one.")
    if lost.any() or len(np.unique(got)) != len(np.unique(right)):
        raise NotYet("In another heap your seeds are others than the connected parts that are deeper than 0.5.")
    raise NotYet("In another heap the borders lie elsewhere: flood `-depth`, deepest first.")


def _same(one, other) -> bool:
    """Whether two numberings make the same objects; the numbers themselves do not matter."""
    import numpy as np

    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    zero = (one == 0) == (other == 0)
    return bool(zero.all()) and len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def _why(got, right, seeds, foreground, depth) -> str:
    import numpy as np
    from skimage.measure import label
    from skimage.segmentation import watershed

    deep = label(depth > 0.5)
    known = (
        (label(foreground), "These are the connected parts of the foreground: discs that touch are one. Begin with the "
         "parts that are *deeper* than 0.5."),
        (seeds, "These are the seeds alone, without their rims. Let `watershed` grow them to the whole foreground."),
        (deep, "These are the deep parts alone. Keep to the foreground, and let `watershed` grow them."),
        (watershed(depth, seeds, mask=foreground), "Water rises from *low* places. Flood the depth turned upside down: "
         "`-depth`."),
        (watershed(-depth, seeds), "The ground was flooded too. Pass `mask=foreground`."),
        (watershed(-depth, deep), "The ground was flooded too. Pass `mask=foreground`."),
        (watershed(-depth, deep, mask=foreground | (deep > 0)), "There is an object outside the foreground. Choose "
         "seeds that are deep *and* foreground."),
        (watershed(-depth, seeds, mask=foreground, watershed_line=True), "Pixels at the borders belong to no object. "
         "Leave out `watershed_line`."),
        (watershed(-depth, label(foreground), mask=foreground), "The seeds are the connected parts of the foreground, "
         "so nothing is cut. Take those deeper than 0.5."),
    )  # fmt: skip
    for made, message in known:
        if _same(got, made):
            return message
    count, wanted = len(np.unique(got[got > 0])), int(right.max())
    if got[~foreground].any():
        return "Some pixels outside the foreground have a number. The ground keeps 0: pass `mask=foreground`."
    if (got[foreground] == 0).any():
        return "Some pixels of the foreground have no number. Watershed from the seeds reaches all of them."
    if count != wanted:
        return f"There are {wanted} discs, and your answer has {count} objects. The seeds are what is deeper than 0.5."
    return "As many objects as discs, but the borders lie elsewhere: flood `-depth`, deepest first."
