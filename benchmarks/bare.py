"""Bare loops: what a task costs with nothing around it, part by part, and ONNX Runtime without this package."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterator

import onnxruntime
import torch
from tasks import BATCH, Run, split_chain
from torch import nn
from torch.nn import functional as F

from tlcourse.models import Tokens

AT_ONCE = {"image": 32, "text": 64}  # items through the frozen stages: what `extract` takes by itself


def timed(job: Callable, *arguments) -> tuple[float, object]:
    """Wall seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = job(*arguments)
    return time.perf_counter() - start, result


def onnx_session(prefix: nn.Module, x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network exported for one shape, as a function from a batch to its output."""
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(prefix, (x,), written, dynamo=False, input_names=["x"], output_names=["y"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    session = onnxruntime.InferenceSession(written.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(session.run(None, {"x": batch.numpy()})[0])


def parts(run: Run, engine: str) -> dict[str, float]:
    """Seconds of each part of a training run, measured by itself.

    Returns `transform` (all items once), `engine` (export and session), `prefix` (all items through the frozen stages
    once), `epoch` (one epoch of bare training steps), and `steps` (their number).
    """
    front, back = (nn.Sequential(*stages) for stages in split_chain(run.model, run.task.until))
    front.eval()
    size = AT_ONCE[run.train.kind]
    found = {"engine": 0.0, "prefix": 0.0}
    found["transform"], inputs = timed(lambda: list(_inputs(run, size)))
    if run.task.until is not None:
        through = torch.inference_mode()(front)
        first = inputs[0][1]
        if engine == "onnxruntime":
            found["engine"], through = timed(onnx_session, front, first)
        through(first)  # the first call prepares what the others use
        found["prefix"], outputs = timed(lambda: [(index, through(x)) for index, x in inputs])
    else:
        outputs = inputs
    back.train()
    batches = list(_rebatched(outputs, run))
    step = _stepper(back, run.task.lr)
    step(*batches[0])
    found["epoch"], _ = timed(lambda: [step(*batch) for batch in batches])
    return found | {"steps": len(batches)}


def bare_extraction(run: Run) -> torch.Tensor:
    """Pooled features of all training images by transform, export, session and run: no frame around it."""
    front = nn.Sequential(*split_chain(run.model, "pool")[0]).eval()
    session, size, out = None, AT_ONCE["image"], None
    for index, x in _inputs(run, size):
        session = session or onnx_session(front, x)
        short = size - len(x)
        y = session(torch.cat([x, x[:1].expand(short, -1, -1, -1)]) if short else x)
        out = torch.empty(len(run.train), *y.shape[1:]) if out is None else out
        out[index] = y[: len(index)]
    return out


def _inputs(run: Run, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor | Tokens]]:
    """Numbers of items and their model input, texts of a length together, the longest first."""
    if not run.text:
        for index in torch.arange(len(run.train)).split(size):
            yield index, run.model.transform(run.train.x[index])
        return
    all_ = run.model.transform(list(run.train.x))
    lengths = all_.mask.sum(1)
    for index in lengths.argsort(descending=True).split(size):
        longest = int(lengths[index].max())
        yield index, Tokens(all_.x[index, :longest], all_.mask[index, :longest])


def _rebatched(outputs, run: Run) -> Iterator[tuple[torch.Tensor | Tokens, torch.Tensor]]:
    """Training batches and labels made of what came out of the frozen stages, which took more items at once."""
    for index, x in outputs:
        for part in torch.arange(len(index)).split(BATCH):
            labels = run.train.y[index[part]]
            # cloned: what inference mode made cannot be trained on
            yield (Tokens(x.x[part].clone(), x.mask[part]) if isinstance(x, Tokens) else x[part].clone()), labels


def _stepper(rest: nn.Module, lr: float) -> Callable:
    optimizer = torch.optim.AdamW([p for p in rest.parameters() if p.requires_grad], lr=lr, fused=True)

    def step(x, labels) -> None:
        optimizer.zero_grad()
        F.cross_entropy(rest(x), labels).backward()
        optimizer.step()

    return step
