"""Runs of `fit` that are the same in one process and in several; as a program, one of several that share them.

`python -m torch.distributed.run --standalone --nproc_per_node 2 _team.py FOLDER`
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn

from tlcourse import evaluate, extract, fine_tune, fit, freeze, l2_sp
from tlcourse.training.checkpoint import Checkpoint

WRITES = []


def plain_net():
    """Neither BatchNorm, which sees its process's share only, nor dropout."""
    torch.manual_seed(0)
    parts = {"stem": nn.Conv2d(3, 4, 3), "act": nn.Tanh(), "pool": nn.Flatten(), "head": nn.Linear(144, 2)}
    net = nn.Sequential(OrderedDict(parts))
    net.transform = Scale()
    return net.eval()


def still_texts():
    net = text_net(dropout=0.0)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


def whole(folder, keep):
    net = plain_net()
    return net, fit(
        net, images(31), images(9, seed=3), epochs=3, batch=7, lr=0.02, schedule="cosine", weight_decay=0.01,
        class_weights=[1.0, 2.0], label_smoothing=0.1, penalty=l2_sp(net, 0.1), keep=keep,
    )  # fmt: skip


def inner(folder, keep):
    net = freeze(image_net(), until="neck")
    net.head[1] = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 2))
    for p in net.head.parameters():
        nn.init.uniform_(p, -0.4, 0.4, generator=torch.Generator().manual_seed(p.numel()))
    return net, fit(net, images(29), images(9, seed=3), epochs=3, batch=7, lr=0.02, keep=keep)


def of_texts(folder, keep):
    net = freeze(still_texts(), until="layer1")
    return net, fit(net, texts(23), texts(10), epochs=2, batch=5, lr=0.02, optimizer=torch.optim.SGD, keep=keep)


def early(folder, keep):
    """Stops after the second epoch without a lower validation loss."""
    net = plain_net()
    return net, fit(net, images(20), images(9, seed=3), epochs=30, batch=9, lr=1.0, patience=2, keep=keep)


def phases(folder, keep):
    net = plain_net()
    return net, fine_tune(net, images(20), epochs=2, batch=7, unfreeze="gradual", keep=keep)


def features(folder, keep):
    net = freeze(plain_net())
    return net, fit(net, extract(net, images(20), "pool"), epochs=2, batch=7)


def checkpointed(folder, keep):
    path = folder / f"run{os.environ.get('WORLD_SIZE', 1)}.ckpt"
    fit(plain_net(), images(20), epochs=2, batch=7, checkpoint=path, keep=keep)
    net = plain_net()
    return net, fit(net, images(20), epochs=2, batch=7, checkpoint=path, keep=keep)


def batchnorm(folder, keep):
    net = image_net()
    return net, fit(net, images(30), images(9, seed=3), epochs=3, batch=7, lr=0.05, patience=1, keep=keep)


RUNS = (whole, inner, of_texts, early, phases, features, checkpointed, batchnorm)


def everything(folder: Path) -> dict:
    """Each run with and without kept features: its figures and its weights."""
    write = Checkpoint.write
    Checkpoint.write = lambda self, state: (WRITES.append(1), write(self, state))
    found = {}
    try:
        for make in RUNS:
            for keep in (None, False):
                net, history = make(folder / ("kept" if keep is None else "not"), keep)
                found[make.__name__, keep] = {
                    "rows": [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows],
                    "weights": net.state_dict(),
                    "keeping": history.keeping,
                    "resumed": history.resumed,
                    "score": evaluate(net, texts(10) if make is of_texts else images(10)).loss,
                }
    finally:
        Checkpoint.write = write
    return found | {"writes": len(WRITES)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    torch.save(everything(folder), folder / f"rank{os.environ['RANK']}.pt")
