"""From a foreground and a depth to numbered objects, by watershed; and the classical way, without a network."""

from __future__ import annotations

import numpy as np
import torch

from tlcourse.errors import CourseError, real_number, whole_number


def instances(outputs: torch.Tensor, *, seed_depth: float = 0.5, smallest: int = 30) -> torch.Tensor:
    """Numbered objects from what a network says of foreground and depth.

    Each connected part deeper than `seed_depth` is the seed of an object. From the seeds water rises over the depth
    turned upside down; where the floods of two seeds meet, there the border is.

    Arguments:
        outputs: `[n, 2, h, w]`: logits of the foreground, and of the depth.
        seed_depth: depth from which a pixel belongs to a seed, 0..1.
        smallest: pixels; a smaller object is taken for noise.

    Returns int64 `[n, h, w]`, 0 where there is no object. Raises `CourseError` for other shapes, or NaN.

    >>> outputs = torch.full((1, 2, 16, 16), -9.0)
    >>> outputs[:, :, 2:8, 2:8] = outputs[:, :, 9:15, 9:15] = 9.0
    >>> instances(outputs).unique().tolist()
    [0, 1, 2]

    Chapter 06. Beucher and Meyer 1993 (watershed); Bai and Urtasun 2017.
    """
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 4 or outputs.shape[1] != 2 or not outputs.numel():
        given = list(outputs.shape) if isinstance(outputs, torch.Tensor) else f"a {type(outputs).__name__}"
        raise CourseError(
            f"Objects are read from a tensor [n, 2, h, w], foreground and depth; this is {given}.",
            do="Make the decoder with outputs=2, and train it with instance_loss.",
        )
    if not outputs.isfinite().all():
        raise CourseError(
            "The outputs hold NaN or infinite values.", do="Train anew with a smaller learning rate; look at the maps."
        )
    seed_depth, smallest = real_number("seed_depth", seed_depth, below=1), whole_number("smallest", smallest, 0)
    foreground, depth = (part.detach().cpu().numpy() for part in outputs.float().sigmoid().unbind(1))
    found = [_flooded(d, f > 0.5, d > seed_depth, smallest) for f, d in zip(foreground, depth, strict=True)]
    return torch.from_numpy(np.stack(found).astype(np.int64))


def classical_instances(x: torch.Tensor, *, distance: int = 8, smallest: int = 30) -> torch.Tensor:
    """Numbered objects without a network: a threshold, the distance to the ground, watershed from its peaks.

    The threshold is Otsu's, anew for each image; holes are filled.

    Arguments:
        x: bright objects on dark ground, grey uint8 `[n, 1, h, w]`.
        distance: pixels that two peaks lie apart at least.
        smallest: pixels; a smaller object is taken for noise.

    Returns int64 `[n, h, w]`, 0 where there is no object; an image of one tone has none.

    >>> x = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    >>> x[:, :, 4:12, 4:12] = x[:, :, 18:28, 18:28] = 200
    >>> classical_instances(x).unique().tolist()
    [0, 1, 2]

    Chapter 06. Otsu 1979; Beucher and Meyer 1993.
    """
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu

    if not (isinstance(x, torch.Tensor) and x.dtype == torch.uint8 and x.ndim == 4 and x.shape[1] == 1 and x.numel()):
        raise CourseError("Classical watershed takes grey images, uint8 [n, 1, h, w].", do="Pass split.x.")
    whole_number("distance", distance), whole_number("smallest", smallest, 0)
    found = []
    for image in x[:, 0].numpy():
        smooth = gaussian(image, 1)
        there = smooth > threshold_otsu(smooth) if smooth.max() > smooth.min() else np.zeros(image.shape, bool)
        there = ndimage.binary_fill_holes(there)
        depth = gaussian(ndimage.distance_transform_edt(there), 1)
        seeds = np.zeros(image.shape, bool)
        seeds[tuple(peak_local_max(depth, min_distance=distance, labels=there.astype(int)).T)] = True
        found.append(_flooded(depth, there, seeds, smallest))
    return torch.from_numpy(np.stack(found).astype(np.int64))


def _flooded(depth: np.ndarray, foreground: np.ndarray, seeds: np.ndarray, smallest: int) -> np.ndarray:
    from scipy import ndimage
    from skimage.segmentation import relabel_sequential, watershed

    numbers, _ = ndimage.label(seeds & foreground)
    objects = watershed(-depth, numbers, mask=foreground)
    sizes = np.bincount(objects.ravel())
    objects[sizes[objects] < smallest] = 0
    return relabel_sequential(objects)[0]
