"""Depthwise convolutions on small maps: outputs and slopes are torch's own, and nothing is left behind."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from small_nets import image_net, images
from torch import nn

from tlcourse import fit
from tlcourse.training.small_maps import quick_slopes


def both_ways(conv, x):
    """Output, and slopes of input, weights and bias, by torch and by the sums."""
    found = []
    for quick in (False, True):
        made, item = deepcopy(conv), x.clone().requires_grad_()
        if quick:
            with quick_slopes(made):
                assert "forward" in vars(made)
                out = made(item)
                (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
        else:
            out = made(item)
            (out * torch.arange(out.numel()).reshape(out.shape).cos()).sum().backward()
        found.append((out.detach(), item.grad, *(p.grad for p in made.parameters())))
    return zip(*found, strict=True)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kernel", "padding", "bias", "side"),
    [(5, 2, False, (3, 3)), (5, 2, True, (4, 2)), (5, 4, True, (1, 1)), ((5, 3), (2, 1), False, (3, 7))],
)
def test_outputs_and_slopes_are_torchs(kernel, padding, bias, side, layout):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, kernel, padding=padding, groups=6, bias=bias).to(memory_format=layout)
    for number, (slow, quick) in enumerate(both_ways(conv, torch.randn(4, 6, *side).to(memory_format=layout))):
        assert torch.equal(slow, quick) if number == 0 else torch.allclose(slow, quick, atol=1e-5)


def test_slopes_of_slopes_are_right():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 2, 5, padding=2, groups=2).double(), torch.randn(2, 2, 3, 3).double().requires_grad_()
    with quick_slopes(conv):
        assert torch.autograd.gradcheck(lambda x, _: conv(x), (x, conv.weight))
        slope = torch.autograd.grad(conv(x).pow(2).sum(), conv.weight, create_graph=True)[0]
        twice = torch.autograd.grad(slope.pow(2).sum(), x)[0]
    slope = torch.autograd.grad(conv(x).pow(2).sum(), conv.weight, create_graph=True)[0]
    assert torch.allclose(twice, torch.autograd.grad(slope.pow(2).sum(), x)[0])


def test_only_what_it_is_for_is_touched_and_all_is_put_back():
    def depthwise(**more):
        return nn.Conv2d(2, 2, 5, groups=2, **{"padding": 2, **more})

    frozen = depthwise().requires_grad_(False)
    others = [nn.Conv2d(2, 2, 5), depthwise(stride=2), depthwise(dilation=2), depthwise(padding="same"), frozen]
    net = nn.Sequential(chosen := depthwise(), *others, depthwise(padding_mode="reflect"))
    with pytest.raises(KeyError), quick_slopes(net):
        assert [module for module in net.modules() if "forward" in vars(module)] == [chosen]
        with torch.no_grad():
            assert chosen(torch.ones(1, 2, 3, 3)).grad_fn is None
        assert "Depthwise" not in type(chosen(torch.ones(1, 2, 9, 9)).grad_fn).__name__, "a large map has a fast way"
        with torch.autocast("cpu", torch.bfloat16):
            assert chosen(torch.ones(1, 2, 3, 3)).dtype == torch.bfloat16
        raise KeyError
    assert not any("forward" in vars(module) for module in net.modules())


def test_a_training_with_it_is_the_training_without(monkeypatch):
    def trained():
        net = image_net()
        net.stem = nn.Sequential(net.stem, nn.AdaptiveAvgPool2d(3), deep := nn.LazyConv2d(1, 1))
        with torch.no_grad():
            count = net.stem[0](net.transform(images(2).x)).shape[1]
        torch.manual_seed(0)
        net.stem[2] = deep = nn.Conv2d(count, count, 5, padding=2, groups=count)
        fit(net, images(12), epochs=2, batch=4, lr=1e-3, progress=False)
        assert "forward" not in vars(deep)
        return deep.weight.detach()

    quick = trained()
    monkeypatch.setattr("tlcourse.training.run.quick_slopes", lambda module: pytest.MonkeyPatch.context())
    assert torch.allclose(quick, trained(), atol=1e-5)
