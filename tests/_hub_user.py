"""A user of the full profile with a network, as a process of its own: `python _hub_user.py fetch ...` or `... use`.

Addresses that the libraries carry in themselves lead to the stand-in (`TLCOURSE_TEST_HUB`), and the checksums of its
tiny files stand in for the true ones that go with those addresses. Everything else is as it is for a user.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

FAR = os.environ.get("TLCOURSE_TEST_HUB", "")


class ToTheStandIn(urllib.request.BaseHandler):
    handler_order = 100  # before the one that would ask the far host

    def https_open(self, request):
        parts = urlsplit(request.full_url)
        near = urllib.request.Request(f"{FAR}/far/{parts.netloc}{parts.path}", method=request.get_method())
        return urllib.request.urlopen(near)


def redirect() -> None:
    urllib.request.install_opener(urllib.request.build_opener(ToTheStandIn))
    sums = json.loads(os.environ["TLCOURSE_TEST_SUMS"])  # name of a file -> SHA-256 of what the stand-in has
    from torch import hub
    from torchvision.datasets import utils

    def right(path) -> bool:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() == sums[Path(path).name]

    download = hub.download_url_to_file
    hub.download_url_to_file = lambda url, dst, prefix=None, progress=True: download(
        url, dst, prefix and sums[Path(dst).name][: len(prefix)], progress
    )
    utils.check_md5 = lambda path, md5, **kwargs: right(path)
    if any("keras" in word for word in sys.argv):
        os.environ.setdefault("KERAS_BACKEND", "torch")
        from keras.src.utils import file_utils

        file_utils.validate_file = lambda path, *_, **__: right(path)


def use() -> dict:
    """A little of everything, as the chapters use it."""
    import torch

    from tlcourse import load, load_dataset
    from tlcourse.answering.hub import load_reader
    from tlcourse.datasets.hub_texts import sms_table
    from tlcourse.detection.hub import load_detector
    from tlcourse.errors import CourseError
    from tlcourse.models import Tokens
    from tlcourse.translation.hub import load_translator

    model = load("hf:bert-base-uncased", classes=2)
    scores = model(Tokens(*model.transform(["open the file"])))
    told = {"bert": list(scores.shape), "resnet50": len(load("torchvision:resnet50", classes=["a", "b"]).classes)}
    for name in ("hf:Helsinki-NLP/opus-mt-en-fr", "hf:Helsinki-NLP/opus-mt-zh-en"):
        told[name] = load_translator(name).translate(["open the file", "close it"], most=5)
    told["reader"] = load_reader().ask("where is it?", "it is on the table", least=-1e9)
    for name in ("fasterrcnn", "fcos", "maskrcnn"):
        detector = load_detector(f"torchvision:{name}_resnet50_fpn", size=64)
        told[name] = [
            len(detector.classes),
            "person" in detector.classes,
            round(float(next(detector.model.parameters()).max()), 4),
        ]
    for name in ("sms-spam", "medmnist", "eurosat", "pet-masks"):
        data = load_dataset(name, **({"size": 32} if name == "pet-masks" else {}))
        told[name] = {"classes": list(data.classes), "sizes": [len(split) for split in data.splits]}
        told[name]["shape"] = list(data.train.x.shape[1:]) if data.kind == "image" else data.train.x[0]
    told["masks"] = torch.unique(data.train.masks).tolist()
    os.environ["TLCOURSE_OFFLINE"] = "1"
    told["licence"], told["source"] = model.card.licence, model.card.source
    told["refused"] = []
    for wrong in (
        lambda: load_translator("hf:bert-base-uncased"),
        lambda: load_reader("hf:bert-base-uncased"),
        lambda: load("hf:Helsinki-NLP/opus-mt-en-fr", classes=2),
    ):
        try:
            wrong()
        except CourseError as error:
            told["refused"].append(str(error))
    if any("keras" in word for word in sys.argv):
        from tlcourse.models import keras_resnet50

        keras = keras_resnet50()
        told["keras"] = [*keras.output_shape, round(float(keras.weights[0].numpy().max()), 4)]
    told["offline"] = [
        len(load_translator("hf:Helsinki-NLP/opus-mt-zh-en").translate(["it"], most=2)),
        len(sms_table()),
    ]
    return told


if __name__ == "__main__":
    redirect()
    if sys.argv[1] == "use":
        print(json.dumps(use()))
        sys.exit()
    from tlcourse import cli

    sys.exit(cli.main(sys.argv[1:]))
