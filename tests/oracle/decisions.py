"""Rounding decides ReLUs and max pools whose inputs are nearly tied, and a gradient jumps with each. For tests/oracle/
compare.py in f32: which of these decisions the other side took otherwise.
"""
import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

NEAR = 2e-5  # of the root mean square of a layer's values; rounding in f32 is of the order of 1e-6 of it


@dataclass
class Tie:
    """Adding `step` at one input value of a ReLU or a max pool turns its decision."""
    module: str
    index: int
    step: float


def near_ties(net, x):
    ties, inputs = [], {}
    names = [name for name, m in net.named_modules() if isinstance(m, (nn.ReLU, nn.MaxPool2d))]
    hooks = [net.get_submodule(name).register_forward_hook(lambda _, i, __, name=name: inputs.update({name: i[0]}))
             for name in names]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    for name, value in inputs.items():
        module, near = net.get_submodule(name), NEAR * value.square().mean().sqrt()
        if isinstance(module, nn.ReLU):
            for index in torch.nonzero(value.flatten().abs() < near).flatten().tolist():
                ties.append(Tie(name, index, -2 * value.flatten()[index].item()))
            continue
        position = torch.arange(value.numel(), dtype=value.dtype).view_as(value)
        pad = [module.padding] * 4
        windows, positions = (F.pad(t, pad, value=-1.0).unfold(2, module.kernel_size, module.stride).unfold(
            3, module.kernel_size, module.stride).flatten(4).flatten(0, 3) for t in (value, position))
        best, at = windows.topk(2, dim=1)
        gap = best[:, 0] - best[:, 1]
        for row in torch.nonzero((gap < near) & (best[:, 0] > 0)).flatten().tolist():
            ties.append(Tie(name, int(positions[row, at[row, 1]].item()), 2 * gap[row].item()))
    return ties


@contextlib.contextmanager
def turned(nets, ties):
    """Within, the networks decide these ties the other way."""
    hooks = []
    for net in nets:
        for tie in ties:
            def nudge(_, args, tie=tie):
                step = torch.zeros_like(args[0])
                step.view(-1)[tie.index] = tie.step
                return args[0] + step

            hooks.append(net.get_submodule(tie.module).register_forward_pre_hook(nudge))
    yield
    for hook in hooks:
        hook.remove()


def taken_otherwise(net, x, explain, theirs):
    """The ties whose other decisions bring explain() to the other side's map: those with a weight of about 1 among the
    effects that together explain the difference."""
    ties, here = near_ties(net, x), explain()
    effects = []
    for tie in ties:
        with turned([net], [tie]):
            effects.append((explain() - here).flatten())
    effective = [i for i, effect in enumerate(effects) if effect.abs().max() > 1e-7 * here.abs().max()]
    if not effective:
        return []
    weights = torch.linalg.lstsq(torch.stack([effects[i] for i in effective], 1), (theirs - here).flatten()[:, None]).solution
    return [ties[i] for i, weight in zip(effective, weights.flatten().tolist()) if weight > 0.5]
