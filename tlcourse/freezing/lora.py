"""`lora`: small trainable matrices beside frozen ones, through peft."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tlcourse.chain import stages
from tlcourse.chain.core import unwrapped
from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.freezing.freeze import freeze, hold

# what the query and value projections of attention are called, in the families that the course knows
_ATTENTION = ("query", "value", "q_lin", "v_lin", "qkv", "q_proj", "v_proj")


def lora(
    model: nn.Module,
    rank: int = 8,
    *,
    scale: float = 2.0,
    targets: Sequence[str] | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> nn.Module:
    """Freeze a model's body and put a trainable low-rank detour beside some of its matrices; the head trains as well.

    A frozen matrix `W` becomes `W + scale * B A`, where `A` has `rank` rows and `B` as many columns. `B` begins at
    zero, so at first nothing changes. Stages without a detour are frozen truly, and so is every BatchNorm.

    Arguments:
        model: any model whose `stages` are known; it is changed in place.
        rank: rows of `A`; more can learn more.
        scale: how strongly the detour counts.
        targets: names or ends of names of the modules that get one; by default the query and value projections of
            attention, and in a network without attention its 1x1 convolutions.
        dropout: share of the detour's input that is dropped while training.
        seed: of the random `A`.

    Returns the model. Raises `CourseError` when peft is not installed or nothing fits `targets`.

    >>> from tlcourse import load
    >>> model = lora(load("minilm", classes=2, pretrained=False), rank=4)
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
    37634

    Hu et al. 2022 (LoRA); chapter 04.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise CourseError("LoRA needs the package peft.", do="pip install peft, then restart the kernel.") from None
    whole_number("rank", rank), real_number("scale", scale), real_number("dropout", dropout, below=1)
    if adapted(unwrapped(model)):
        raise CourseError("This model has a LoRA detour already.", do="Load the model anew for another one.")
    chain = dict(stages(model).named_children())
    with_parameters = [name for name, stage in chain.items() if any(True for _ in stage.parameters())]
    head = "head" if "head" in chain else with_parameters[-1]
    chosen = _chosen(model, chain[head], targets)
    config = LoraConfig(r=rank, lora_alpha=scale * rank, target_modules=chosen, lora_dropout=dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, unwrapped(model))
        except ValueError as error:
            raise CourseError(
                "peft cannot put a detour beside one of the chosen modules.",
                why=str(error),
                do="Load the model anew, and name matrices and convolutions only, e.g. targets=['fc1'].",
            ) from error
    chain = dict(stages(model).named_children())
    for name in list(chain)[: list(chain).index(head)]:
        if not any(p.requires_grad for p in chain[name].parameters()):
            freeze(model, name)
        _hold_norms(chain[name])
    chain[head].requires_grad_(True)  # peft freezes it too; a new head that does not learn would be worth nothing
    return model


def detours_only(model: nn.Module, *names: str) -> None:
    """Where a stage has a LoRA detour, let that alone train: `unfreeze` has opened all that lies in it.

    >>> detours_only(nn.Sequential(nn.Linear(2, 2)), "0")  # no detour: the stage stays open
    """
    chain = dict(stages(model).named_children())
    for stage in (chain[name] for name in names if adapted(chain[name])):
        for name, parameter in stage.named_parameters():
            parameter.requires_grad_("lora_" in name)
        _hold_norms(stage)


def _hold_norms(stage: nn.Module) -> None:
    for module in stage.modules():
        if isinstance(module, _NormBase):
            hold(module)


def adapted(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of a model that have a LoRA detour, with their names.

    >>> adapted(nn.Linear(2, 2))
    []
    """
    return [(n, m) for n, m in model.named_modules() if hasattr(m, "lora_A") and hasattr(m, "get_delta_weight")]


def _chosen(model: nn.Module, head: nn.Module, targets) -> list[str]:
    spared = {id(module) for module in head.modules()}
    body = {name: m for name, m in unwrapped(model).named_modules() if id(m) not in spared}
    if targets is not None:
        ends = [targets] if isinstance(targets, str) else list(targets)
        found = [name for name in body if any(name == end or name.endswith(f".{end}") for end in ends)]
    else:
        found = [name for name, m in body.items() if name.split(".")[-1] in _ATTENTION and isinstance(m, nn.Linear)]
        found = found or [name for name, m in body.items() if isinstance(m, nn.Conv2d) and _is_matrix(m)]
    if not found:
        raise CourseError(
            "There is no module to put a detour beside.",
            why=f"targets={targets!r} names none of this model's modules before its head.",
            do="Name some, e.g. targets=['fc1']; model.named_modules() lists them all.",
        )
    return found


def _is_matrix(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.groups == 1
