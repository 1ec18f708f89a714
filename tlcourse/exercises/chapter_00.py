"""Questions of chapter 00: reading a shape, a red cell, what stays."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, whole
from tlcourse.exercises.core import Choice, Exercise, Quiz

_SHAPE = (8, 3, 224, 224)


def _batch():
    import torch

    return torch.zeros(_SHAPE, dtype=torch.uint8)


def _read_shape(images, numbers) -> None:
    images, numbers = whole(images, "images"), whole(numbers, "numbers")
    n, c, h, w = _SHAPE
    if images == c:
        raise NotYet("3 is the number of colours, red, green and blue. The images are counted on the first axis.")
    if images in (h, n * c):
        raise NotYet(f"{images} is not the number of images. They are counted on the first axis alone.")
    if images != n:
        raise NotYet(f"There are not {images:,} images: look at the first number of the shape.")
    if numbers == h * w:
        raise NotYet("224 × 224 counts the pixels. Each pixel has three numbers, one a colour.")
    if numbers == n * c * h * w:
        raise NotYet("These are all the numbers of the batch. Of one image there are fewer.")
    if numbers != c * h * w:
        raise NotYet(f"One image does not have {numbers:,} numbers: multiply colours, height and width.")


QUESTIONS = (
    Exercise(
        name="00.1",
        title="Read a shape",
        task="A batch of photographs is one tensor of the shape `[8, 3, 224, 224]`. Predict: how many images are in "
        'it, and how many numbers describe one image? (`exercise("00.1").material()` is such a tensor.)',
        stub="images = ...\nnumbers = ...",
        answers=("images", "numbers"),
        judge=_read_shape,
        make=_batch,
        why="A batch is [images, colours, height, width]: 8 images of 3 × 224 × 224 = 150,528 numbers. The network "
        "maps those 150,528 numbers to 1,280 features, and the features to one score a class.",
        hints=(
            "The axes are, in this order: images, colours, height, width.",
            "The first number of the shape counts images. The other three belong to one image.",
            "Python is a calculator: one image has `3 * 224 * 224` numbers.",
        ),
        code="images = 8\nnumbers = 3 * 224 * 224",
        wrong={
            "colours taken for images": ("images = 3\nnumbers = 150528", "number of colours"),
            "height taken for images": ("images = 224\nnumbers = 150528", "first axis"),
            "made up": ("images = 10\nnumbers = 150528", "first number"),
            "pixels without colours": ("images = 8\nnumbers = 224 * 224", "three numbers"),
            "the whole batch": ("images = 8\nnumbers = 8 * 3 * 224 * 224", "all the numbers of the batch"),
            "a sum": ("images = 8\nnumbers = 3 + 224 + 224", "multiply"),
            "a text": ('images = "8"\nnumbers = 150528', "whole number"),
        },
    ),
    Quiz(
        "00.a",
        "A cell turns red: it shows an error. What do you do first?",
        (
            Choice(
                "Install the course again.",
                "This rarely helps, and takes longest. `tlcourse doctor` tells whether something is missing.",
            ),
            Choice(
                "Go on with the next cell.",
                "Cells build on each other: the next one would most likely fail too, with a message that leads astray.",
            ),
            Choice(
                "Read the last lines of the message: what happened, why, and what to do next.",
                "An error of the course says all three. If it does not help, choose Kernel, Restart Kernel and Run "
                "up to Selected Cell: cells run out of order are the most frequent cause.",
                right=True,
            ),
            Choice(
                "Delete the folder with the fetched weights.",
                "They are checked each time they are first read, so they are hardly the cause, and you would have "
                "to fetch them again.",
            ),
        ),
    ),
    Quiz(
        "00.b",
        "In the second wow the network learned what a face is from four images a class. What stayed as it was?",
        (
            Choice(
                "Only its first layer.",
                "Fine-tuning may work that way; here far more stayed. Four images a class are too few to move many "
                "weights well.",
            ),
            Choice(
                "Nothing: all weights moved a little.",
                "That is fine-tuning of the whole network, which chapter 04 does. It needs more images and minutes "
                "instead of seconds.",
            ),
            Choice(
                "The head; the layers below adapted to the images.",
                "It is the other way round. The old head scores the old classes, so it is just what cannot stay.",
            ),
            Choice(
                "The whole backbone: every weight, and BatchNorm's statistics too.",
                "The backbone turned the images into features, as it had learned on a million other images; only "
                "the small head on top is new.",
                right=True,
            ),
        ),
    ),
)
