"""What torchvision's detectors read: images of any sizes, and for Mask R-CNN a mask of each object."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlcourse.errors import CourseError


def scaled(images, device: torch.device) -> list[torch.Tensor]:
    """Images as floats `[3, h, w]` from 0 to 1; raises `CourseError` for what is none.

    Arguments:
        images: uint8 `[n, 1 or 3, h, w]`, or a list of `[1 or 3, h, w]`.
        device: where they are to be.

    >>> scaled([torch.zeros(1, 4, 6, dtype=torch.uint8)], torch.device("cpu"))[0].shape
    torch.Size([3, 4, 6])
    """
    images = list(images) if isinstance(images, Sequence | torch.Tensor) else [images]
    if not images:
        raise CourseError("There are no images.", do="Pass at least one.")
    for image in images:
        right = isinstance(image, torch.Tensor) and image.dtype == torch.uint8 and image.ndim == 3
        if not right or image.shape[0] not in (1, 3) or not image.numel():
            have = f"{list(image.shape)}, {image.dtype}" if isinstance(image, torch.Tensor) else type(image).__name__
            raise CourseError(
                "A detector takes images in uint8, [n, 1 or 3, h, w], or a list of [1 or 3, h, w].",
                why=f"This is one: {have}.",
                do="Pass split.x, or [photograph(name)].",
            )
    return [image.expand(3, -1, -1).to(device).float() / 255 for image in images]


def check_resized(images: Sequence[torch.Tensor], shortest: int, longest: int) -> None:
    """Raise `CourseError` for an image of which nothing is left when a detector has resized it.

    Arguments:
        images: `[3, h, w]` each.
        shortest, longest: sides to which the detector resizes, whichever makes an image smaller.

    >>> check_resized([torch.zeros(3, 64, 80)], 800, 1333)
    """
    for i, image in enumerate(images):
        short, long = sorted(image.shape[-2:])
        if int(short * min(shortest / short, longest / long)) < 1:
            raise CourseError(
                f"Image {i} is {image.shape[-1]}x{image.shape[-2]} pixels: too long and thin.",
                why=f"Its longer side becomes {longest} pixels at most, and nothing is left of the other.",
                do="Cut it into pieces, or load the detector with a larger size=.",
            )


def of_masks(masks, pixels: Sequence[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The boxes, labels and masks of the objects in each image.

    Arguments:
        masks: object numbers `[n, h, w]`, 0 where there is none; or a list of `[h, w]`.
        pixels: the images `[3, h, w]`.

    Raises `CourseError` for masks that are not those of the images.

    >>> made = of_masks(torch.tensor([[[0, 1], [0, 1]]]), [torch.zeros(3, 2, 2)])
    >>> made[0]["boxes"].tolist()
    [[1.0, 0.0, 2.0, 2.0]]
    """
    from torchvision.ops import masks_to_boxes

    masks = list(masks) if isinstance(masks, Sequence) else torch.as_tensor(masks)
    if len(masks) != len(pixels):
        raise CourseError(f"There are {len(pixels)} images, and masks of {len(masks)}.", do="Pass both of one split.")
    targets = []
    for i, (mask, image) in enumerate(zip(masks, pixels, strict=True)):
        mask = torch.as_tensor(mask)
        if mask.dtype.is_floating_point or mask.dtype.is_complex or mask.shape != image.shape[-2:]:
            raise CourseError(
                f"Image {i} has the shape {list(image.shape[-2:])}, and its mask {list(mask.shape)}, {mask.dtype}.",
                why="A mask says for each pixel of its image which object lies there.",
                do="Pass object numbers in whole numbers, [n, h, w], of the images' own height and width.",
            )
        numbers = mask.unique()
        if (numbers < 0).any():
            raise CourseError(
                f"The mask of image {i} holds {int(numbers.min())}.",
                why="0 is where no object lies, and objects have numbers from 1; what is below them means nothing.",
                do="Give each object a number from 1, and the ground 0.",
            )
        each = mask[None] == numbers[numbers > 0][:, None, None]
        boxes = masks_to_boxes(each) + torch.tensor([0.0, 0, 1, 1]) if len(each) else torch.zeros(0, 4)
        labels = torch.ones(len(each), dtype=torch.int64)
        targets.append({"boxes": boxes, "labels": labels, "masks": each.to(torch.uint8)})
    return targets
