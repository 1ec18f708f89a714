"""How near each stage comes to what this machine can do: operations, bytes and time, stage by stage.

python benchmarks/roofline.py             # about two minutes; writes benchmarks/roofline.md
python benchmarks/roofline.py --quick     # few repetitions, only printed
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from bare import onnx_session
from machine import describe, in_words, load_now
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from tlcourse import load, load_dataset, stages
from tlcourse.hardware import reused_memory
from tlcourse.models import Tokens

HERE = Path(__file__).parent
IMAGES, TEXTS, NEAR_TOKENS = 16, 32, 27
_ATTENTION = "aten._scaled_dot_product_flash_attention_for_cpu"  # not in torch's own table


@dataclass
class Counted(TorchDispatchMode):
    """Operations and bytes of everything that torch runs inside the block, one pair an operation.

    An operation reads its inputs and writes its outputs, each once; one that only gives a tensor another shape (a
    view) does neither. Operations are torch's own count: two for each multiply-and-add of a product or convolution.
    """

    ops: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        if function.is_view or str(function._overloadpacket) == "aten._unsafe_view":
            return out
        written = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        read = {id(t): t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        name, flops = function._overloadpacket, 0
        if str(name) == "aten.embedding":  # of the table only the rows that are asked for
            read = {0: args[1], 1: out}
        if name in flop_registry:
            flops = flop_registry[name](*args, **kwargs, out_val=out)
        elif str(name) == _ATTENTION:
            flops = sdpa_flop_count(*(t.shape for t in args[:3]))
        self.ops.append((int(flops), sum(t.nbytes for t in (*read.values(), *written))))
        return out


@dataclass(frozen=True)
class Peak:
    """What this machine reaches at best: GFLOP/s in float32, and GB/s (read and written) of a big and a small copy."""

    matmul: float
    convolution: float
    memory: float
    cache: float

    def seconds(self, ops: list[tuple[int, int]], bandwidth: float) -> float:
        """Time at the roofline: each operation waits for its arithmetic or its bytes, whichever takes longer."""
        flops = max(self.matmul, self.convolution)
        return sum(max(f / flops, b / bandwidth) for f, b in ops) / 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    repeats = 3 if chosen.quick else 30
    before = load_now()
    peak = measured_peak(repeats)
    with reused_memory():  # as `extract` and `fit` run
        text = page(peak, image_rows(peak, repeats), text_rows(peak, repeats), before)
    print(text)
    if chosen.out or not chosen.quick:
        (chosen.out or HERE / "roofline.md").write_text(text)


def best(job: Callable, repeats: int, choose: Callable = median) -> float:
    """Seconds of a call after two that are not counted: the median, unless told otherwise."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return choose(times[2:])


def measured_peak(repeats: int) -> Peak:
    """The fastest of a few large products, convolutions and copies."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    matmul = 2 * 2048**3 / best(lambda: a @ b, repeats, min) / 1e9
    x = torch.randn(16, 256, 28, 28).contiguous(memory_format=torch.channels_last)
    w = torch.randn(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        conv = 2 * 16 * 28 * 28 * 256 * 256 * 9 / best(lambda: F.conv2d(x, w, padding=1), repeats, min) / 1e9
    copies = []
    for numbers in (2**27, 2**21):  # 537 MB: more than the caches hold; 8 MB: within the last cache of most
        source, to = torch.ones(numbers), torch.empty(numbers)
        copies.append(2 * source.nbytes / best(lambda s=source, t=to: t.copy_(s), min(repeats, 10), min) / 1e9)
    return Peak(matmul, conv, *copies)


def chain_rows(chain: nn.Module, x, peak: Peak, repeats: int) -> list[dict]:
    """A row a stage: what it computes, what it moves, how long it takes."""
    rows = []
    with torch.no_grad():  # in inference mode torch does not say which products a layer is made of
        for name, stage in chain.named_children():
            with Counted() as counted:
                stage(x)
            seconds = best(lambda stage=stage, x=x: stage(x), repeats)
            rows.append(row(name, counted.ops, seconds, peak))
            x = stage(x)
    return rows


def row(name: str, ops: list[tuple[int, int]], seconds: float, peak: Peak) -> dict:
    """The figures of a stage."""
    flops, moved = sum(f for f, _ in ops), sum(b for _, b in ops)
    roofs = [peak.seconds(ops, bandwidth) for bandwidth in (peak.memory, peak.cache)]
    return {"name": name, "flops": flops, "bytes": moved, "seconds": seconds, "roofs": roofs, "ops": ops}


def summed(name: str, rows: list[dict], seconds: float, peak: Peak) -> dict:
    """Several stages as one, with a time of its own."""
    return row(name, [op for r in rows for op in r["ops"]], seconds, peak)


def image_rows(peak: Peak, repeats: int) -> list[dict]:
    """EfficientNet-Lite0 at 128 pixels; below its stages the whole prefix by torch and by ONNX Runtime."""
    data = load_dataset("surfaces")
    model = load("efficientnet-lite0", classes=data.classes, size=128)
    x = model.transform(data.train.x[:IMAGES]).contiguous(memory_format=torch.channels_last)
    chain = stages(model).eval()
    prefix = nn.Sequential(*list(chain.children())[:-1]).eval()
    rows = chain_rows(chain, x, peak, repeats)
    with torch.inference_mode():
        by_torch = best(lambda: prefix(x), repeats)
    plain = x.contiguous()
    session = onnx_session(prefix, plain)
    by_onnx = best(lambda: session(plain), repeats)
    return [
        *rows,
        summed("stem to pool by torch", rows[:-1], by_torch, peak),
        summed("stem to pool by ONNX Runtime", rows[:-1], by_onnx, peak),
    ]


def text_rows(peak: Peak, repeats: int) -> list[dict]:
    """MiniLM on texts of about one length, as they come when they are sorted."""
    data = load_dataset("sentiment")
    model = load("minilm", classes=data.classes)
    texts = data.train.x[:2000]
    lengths = model.transform(list(texts)).mask.sum(1)
    nearest = (lengths - NEAR_TOKENS).abs().argsort(stable=True)[:TEXTS]
    tokens = Tokens(*model.transform([texts[i] for i in nearest.tolist()]))
    chain = stages(model).eval()
    rows = chain_rows(chain, tokens, peak, repeats)
    with torch.inference_mode():
        whole = best(lambda: model(tokens), repeats)
    return [*rows, summed("the whole model by torch", rows, whole, peak)]


def page(peak: Peak, images: list[dict], texts: list[dict], before: dict) -> str:
    """The tables as a Markdown page."""
    lines = [
        "# How near each stage comes to what the machine can do",
        "",
        "Made by `benchmarks/roofline.py`: forward passes in float32, in evaluation mode. Operations are torch's",
        "count (two for a multiply-and-add; products, convolutions and attention only). Bytes are the weights and",
        "inputs that each operation reads and the outputs that it writes, each once; a view costs nothing. The",
        "roofline's time is the sum over the operations of the longer of operations / peak and bytes / bandwidth, with",
        "the bandwidth of the memory (a copy of 537 MB) and with that of the cache (a copy of 8 MB). What a stage",
        "hands on may still lie in the cache, so it may beat the roofline of the memory. ONNX Runtime joins operations",
        "and so moves fewer bytes than are counted here for torch. Large blocks of memory are kept, as in `extract`.",
        "",
        f"Machine: {in_words(describe())}; torch {torch.__version__}, {torch.get_num_threads()} threads; load before: "
        f"{before['load']}. Measured: {peak.matmul:.0f} GFLOP/s in a product of 2048 x 2048 matrices, "
        f"{peak.convolution:.0f} GFLOP/s in a 3x3 convolution of 256 channels; a copy moves {peak.memory:.1f} GB/s in "
        f"memory, {peak.cache:.1f} GB/s in the cache.",
        "",
        f"## EfficientNet-Lite0, {IMAGES} images of 128 pixels",
        "",
        *rows_in_markdown(images),
        "",
        f"## MiniLM, {TEXTS} texts of about {NEAR_TOKENS} tokens",
        "",
        *rows_in_markdown(texts),
    ]
    return "\n".join(lines) + "\n"


def rows_in_markdown(rows: list[dict]) -> list[str]:
    """A table."""
    lines = [
        "| | GFLOP | MB moved | ms | GFLOP/s | GB/s | roofline of the memory, ms | share | of the cache, ms | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in rows:
        roofs = " | ".join(f"{1e3 * roof:.2f} | {roof / r['seconds']:.0%}" for roof in r["roofs"])
        lines.append(
            f"| {r['name']} | {r['flops'] / 1e9:.3f} | {r['bytes'] / 1e6:.1f} | {1e3 * r['seconds']:.2f} "
            f"| {r['flops'] / r['seconds'] / 1e9:.0f} | {r['bytes'] / r['seconds'] / 1e9:.1f} | {roofs} |"
        )
    return lines


if __name__ == "__main__":
    main()
