"""What runs a frozen prefix: torch, or on a processor ONNX Runtime, which is two to three times as fast for CNNs."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec

import torch
from torch import nn

from tlcourse import hardware
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models import Tokens

ENGINES = ("auto", "torch", "onnxruntime")
ENOUGH = 128
"""Items from which translating the network, which takes about half a second, pays."""
AGREE = 1e-4
"""How far the engines' outputs may differ, as a share of the largest output (and never less than of 1)."""
COMPARED = 8
"""Items of the first batch that go through both engines."""

_last: tuple[tuple, Callable] | None = None  # the newest translated network: train, valid and test ask for the same


def planned(engine: str | None, prefix: Mapping[str, nn.Module], kind: str, device: str, items: int) -> str:
    """The engine that will be used, with its version; it is part of the key that features are kept under.

    Arguments:
        engine: `"auto"`, `"torch"` or `"onnxruntime"`; None takes `TLCOURSE_ENGINE`, or else `"auto"`.
        prefix: the stages to be run.
        kind: `"image"` or `"text"`.
        device: `"cpu"`, `"cuda"` or `"mps"`.
        items: how many will be sent through.

    >>> planned("torch", {}, "image", "cpu", 1000)
    'torch'
    """
    engine = engine or os.environ.get("TLCOURSE_ENGINE") or "auto"
    if engine not in ENGINES:
        raise UnknownName("engine", engine, ENGINES)
    there = find_spec("onnxruntime") is not None and find_spec("onnx") is not None
    if engine == "onnxruntime" and not there:
        raise CourseError("ONNX Runtime is not installed.", do='pip install onnxruntime onnx, or use engine="torch".')
    fits = there and kind == "image" and device == "cpu" and not torch.is_autocast_enabled("cpu")
    fits = fits and precision_of(prefix.values()) == torch.float32
    pays = fits and items >= ENOUGH and _is_convolutional(prefix)  # for transformers it gains nothing
    if engine == "torch" or not (fits if engine == "onnxruntime" else pays):
        return "torch"
    return f"onnxruntime {version('onnxruntime')}"


class Engine:
    """Runs a prefix batch by batch, and gives the outputs of the stages that were asked for.

    Arguments:
        prefix: stage name -> module, from the input on, in evaluation mode.
        wanted: names of the stages whose outputs are needed.
        plan: what `planned` returned.
        key: names these weights, or None; a network that was translated is used again for the same.

    Call it with model input `[b, ...]` or `Tokens`; it returns stage name -> output, to be copied before the next call.
    """

    def __init__(self, prefix: Mapping[str, nn.Module], wanted: list[str], plan: str = "torch", key: str | None = None):
        self.prefix, self.wanted, self.key = prefix, wanted, key
        self.last = [name for name in prefix if name in wanted][-1]
        self.translate = plan.startswith("onnxruntime")
        self.session, self.shape, self.note = None, None, ""
        self.dtype = precision_of(prefix.values())

    def __call__(self, x: torch.Tensor | Tokens) -> dict[str, torch.Tensor | Tokens]:
        if isinstance(x, torch.Tensor) and x.is_floating_point():
            x = x.to(self.dtype)  # transforms give float32
        if not self.translate or not isinstance(x, torch.Tensor):
            return self._by_torch(x)
        if self.shape is None:
            self.shape = tuple(x.shape)
            self.session, first = self._verified(x)
            return first or self._by_torch(x)
        if self.session is None or x.shape[1:] != self.shape[1:] or len(x) > self.shape[0]:
            return self._by_torch(x)
        return {name: out[: len(x)] for name, out in self.session(_filled(x, self.shape[0])).items()}

    def _by_torch(self, x):
        outputs = {}
        with torch.inference_mode():
            if isinstance(x, torch.Tensor) and x.ndim == 4 and _is_convolutional(self.prefix):
                x = x.contiguous(memory_format=torch.channels_last)
            for name, stage in self.prefix.items():
                x = stage(x)
                if name in self.wanted:
                    # a stage behind may work in place, so what is wanted further on is put by
                    outputs[name] = x if name == self.last else _copied(x)
        return outputs

    def _verified(self, x):
        """The network in ONNX Runtime and its outputs, if it gives what torch gives for the first items of a batch."""
        global _last
        key = (self.key, tuple(self.wanted), self.shape)
        try:
            if self.key and _last is not None and _last[0] == key:
                run = _last[1]
            else:
                _last = None  # its session holds some 60 MB, and nobody asks for it again
                run = _translated(self.prefix, self.wanted, x)
            found = run(x)
        except Exception as error:  # an operation that the other side does not know, or too little memory
            self.note = f"torch ran it, since ONNX Runtime could not: {type(error).__name__}"
            return None, None
        for name, y in self._by_torch(x[:COMPARED]).items():
            same = found[name].shape[1:] == y.shape[1:]
            far = (found[name][: len(y)] - y).abs().max() if same else torch.tensor(torch.inf)
            if not far <= AGREE * max(1.0, float(y.abs().max())):
                self.note = f"torch ran it, since ONNX Runtime differs by {float(far):.0e} at {name!r}"
                return None, None
        _last = (key, run)
        return run, found


def precision_of(stages: Iterable[nn.Module]) -> torch.dtype:
    """The dtype of the first floating-point parameter; float32 where there is none.

    >>> precision_of([nn.ReLU(), nn.Linear(2, 2).double()])
    torch.float64
    """
    parameters = (p for stage in stages for p in stage.parameters())
    return next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)


class _Outputs(nn.Module):
    def __init__(self, prefix: Mapping[str, nn.Module], wanted: list[str]):
        super().__init__()
        self.steps, self.wanted = nn.ModuleList(prefix.values()), [name in wanted for name in prefix]
        self.training = False  # else the exporter would set the modules back to training mode afterwards

    def forward(self, x):
        outputs = []
        for stage, wanted in zip(self.steps, self.wanted, strict=True):
            x = stage(x)
            if wanted:
                outputs.append(x.clone())
        return tuple(outputs)


def _translated(prefix: Mapping[str, nn.Module], wanted: list[str], x: torch.Tensor):
    import onnx
    import onnxruntime

    names, written, two = [name for name in prefix if name in wanted], io.BytesIO(), x[:2].contiguous()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The older exporter takes half a second, the newer one eight. One batch size, so that shapes are constants:
        # else the padding of each convolution would be computed anew for each batch.
        torch.onnx.export(
            _Outputs(prefix, wanted), (two,), written, dynamo=False, input_names=["x"], output_names=names,
            do_constant_folding=False,  # the session folds them itself
        )  # fmt: skip
    network = onnx.load_from_string(written.getvalue())
    for value in (*network.graph.input, *network.graph.output):  # followed with two items, which is quicker
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = hardware.threads(), 3
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = session.run(names, {"x": batch.contiguous().numpy()})
        return {name: torch.from_numpy(y) for name, y in zip(names, outputs, strict=True)}

    return run


def _filled(x: torch.Tensor, size: int) -> torch.Tensor:
    return x if len(x) == size else torch.cat([x, x[-1:].expand(size - len(x), *x.shape[1:])])


def _copied(x):
    return Tokens(x.x.clone(), x.mask) if isinstance(x, Tokens) else x.clone()


def _is_convolutional(prefix: Mapping[str, nn.Module]) -> bool:
    modules = [module for stage in prefix.values() for module in stage.modules()]
    return sum(isinstance(m, nn.Conv2d) for m in modules) > sum(isinstance(m, nn.Linear) for m in modules)
