#!/usr/bin/env python3
"""Whose weight gradients of a relevance are right: central differences against Backlight, and against Zennit with autograd.
Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy torch zennit
    cmake --build --preset release --target backlight_weight_gradients
    /tmp/oracle/bin/python tests/oracle/weight_gradients.py build/release/backlight_weight_gradients

The loss is |R|^2 / 2. R is LRP of one linear layer, or of the network of tests/explain/golden_network.h (two convolutions
with batch norm, max and average pool, linear), and starts as the logits. The differences are those of the formulas below,
in f64, with respect to the original parameters. Prints a table; exits with 1 where Backlight and the differences disagree
by more than 1e-7, or where the differences disagree with the second-order numbers of tests/explain/golden_test.cpp.
"""
import subprocess
import sys

import torch
import torch.nn.functional as F
from torch import nn
from zennit import composites, rules
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.types import Convolution

torch.set_default_dtype(torch.float64)
EPS, STEP, TARGET = 1e-6, 1e-5, 0


# ------------------------------------------------------------------------------------- networks and formulas
def grid(shape, f):
    return f(*torch.meshgrid(*[torch.arange(n).double() for n in shape], indexing="ij"))


def kernel(shape, scale, phase):  # (O,I,Kh,Kw)
    return grid(shape, lambda o, i, kh, kw: scale * torch.sin(phase + 3.1 * o + 1.3 * kh + 0.7 * kw + 2.9 * i))


three, four = torch.arange(3).double(), torch.arange(4).double()
IMAGE = grid((1, 2, 6, 6), lambda _, c, h, w: torch.sin(1 + 0.9 * h + 1.7 * w + 2.3 * c))
NETWORK = {
    "0.weight": kernel((3, 2, 3, 3), 0.4, 1), "0.bias": 0.1 * torch.cos(1 + three),
    "1.weight": 1 + 0.2 * torch.sin(three), "1.bias": 0.1 * torch.cos(2 * three),
    "1.running_mean": 0.05 * torch.sin(3 * three), "1.running_var": 0.5 + 0.1 * three,
    "4.weight": kernel((4, 3, 3, 3), 0.3, 2),
    "5.weight": 1 + 0.2 * torch.cos(four), "5.bias": 0.1 * torch.sin(2 * four),
    "5.running_mean": 0.05 * torch.cos(3 * four), "5.running_var": 0.6 + 0.1 * four,
    "9.weight": grid((3, 4), lambda o, i: 0.8 * torch.sin(0.5 + 2.1 * o + 1.1 * i)), "9.bias": 0.1 * (three - 1),
}
VECTOR = torch.tensor([[1.0, -2.0, 0.5]])
LINEAR = {"0.weight": torch.tensor([[1.0, -1.0, 2.0], [-0.5, 0.5, 1.0]]), "0.bias": torch.tensor([0.5, -1.0])}


def share(r, z):
    return r / (z + EPS * torch.where(z >= 0, 1.0, -1.0))


def rule(positive, forward, adjoint, x, w, b, r):
    """epsilon or z+: forward(x, w) is linear in x, and adjoint(s, w) is its transpose."""
    if not positive:
        return x * adjoint(share(r, forward(x, w) + b), w)
    up, down = x.clamp(min=0), x.clamp(max=0)
    s = share(r, forward(up, w.clamp(min=0)) + forward(down, w.clamp(max=0)) + b.clamp(min=0))
    return up * adjoint(s, w.clamp(min=0)) + down * adjoint(s, w.clamp(max=0))


def linear_rule(positive, x, w, b, r):
    return rule(positive, lambda x, w: x @ w.T, lambda s, w: s @ w, x, w, b, r)


def conv_rule(positive, x, w, b, r):
    return rule(positive, lambda x, w: F.conv2d(x, w, padding=1), lambda s, w: F.conv_transpose2d(s, w, padding=1),
                x, w, b[:, None, None], r)


def relevance_of_linear(p, positive):
    w, b = p["0.weight"], p["0.bias"]
    return linear_rule(positive, VECTOR, w, b, VECTOR @ w.T + b)


def relevance_of_network(p, positive):
    def merged(conv, norm):
        k = p[f"{norm}.weight"] / (p[f"{norm}.running_var"] + 1e-5).sqrt()
        return (p[f"{conv}.weight"] * k[:, None, None, None],
                (p.get(f"{conv}.bias", 0) - p[f"{norm}.running_mean"]) * k + p[f"{norm}.bias"])

    (w1, b1), (w2, b2) = merged(0, 1), merged(4, 5)
    a1 = F.conv2d(IMAGE, w1, b1, padding=1).relu()
    pooled, at = F.max_pool2d(a1, 2, return_indices=True)
    a2 = F.conv2d(pooled, w2, b2, padding=1).relu()
    mean = a2.mean((2, 3))
    logits = mean @ p["9.weight"].T + p["9.bias"]
    r = linear_rule(False, mean, p["9.weight"], p["9.bias"], logits * F.one_hot(torch.tensor([TARGET]), 3))
    r = a2 / 9 * share(r, mean)[:, :, None, None]
    r = conv_rule(positive, pooled, w2, b2, r)
    return conv_rule(positive, IMAGE, w1, b1, F.max_unpool2d(r, at, 2))


def half_square(r):
    return 0.5 * r.square().sum()


def central_differences(relevance, parameters, name, loss_of=half_square):
    def loss(change):
        return loss_of(relevance({**parameters, name: parameters[name] + change}))

    found = torch.zeros_like(parameters[name])
    for i in range(found.numel()):
        step = torch.zeros(found.numel())
        step[i] = STEP
        step = step.view_as(found)
        found.view(-1)[i] = (loss(step) - loss(-step)) / (2 * STEP)
    return found


# --------------------------------------------------------------------------------------------------- Zennit
class ExactMerge(SequentialMergeBatchNorm):
    """Without the epsilon that Zennit's leaves in the batch norm."""

    def register(self, linears, batch_norm):
        super().register(linears, batch_norm)
        self.eps, batch_norm.eps = batch_norm.eps, 0.0

    def remove(self):
        super().remove()
        self.batch_norm.eps = self.eps


def modules(parameters):
    if parameters is LINEAR:
        net = nn.Sequential(nn.Linear(3, 2))
    else:
        net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    net.load_state_dict(parameters, strict=False)
    return net.eval()


def with_zennit(parameters, positive, x, names):
    """R with create_graph, then autograd. Gradients of merged weights are carried over to the original ones."""
    net = modules(parameters)
    convolution = rules.ZPlus() if positive else rules.Epsilon()
    linear = rules.ZPlus() if positive and parameters is LINEAR else rules.Epsilon()
    composite = composites.LayerMapComposite(
        composites.layer_map_base() + [(Convolution, convolution), (nn.Linear, linear)], canonizers=[ExactMerge()])
    one = torch.ones(2) if parameters is LINEAR else F.one_hot(torch.tensor(TARGET), 3).double()
    wanted = [dict(net.named_parameters())[name] for name in names]
    with Gradient(net, composite, attr_output=lambda out: out * one, create_graph=True) as attributor:
        _, r = attributor(x.clone().requires_grad_())
        gradients = torch.autograd.grad(half_square(r), wanted, allow_unused=True)
    found = []
    for name, g in zip(names, gradients):
        norm = {"0.weight": 1, "4.weight": 5}.get(name) if parameters is NETWORK else None
        if norm is not None:
            g = g * (parameters[f"{norm}.weight"] / (parameters[f"{norm}.running_var"] + 1e-5).sqrt())[:, None, None, None]
        found.append(g)
    return r.detach(), found


# ------------------------------------------------------------------------------------------------ the table
def backlight(program):
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    return {tuple(line.split()[:2]): torch.tensor([float(v) for v in line.split()[2:]]) for line in lines}


def in_memory(t):
    return t.movedim(1, -1) if t.ndim == 4 else t  # kernels are (O,Kh,Kw,I) there


def relative(g, exact):
    return ((g - exact).norm() / exact.norm()).item()


# Of the loss sum(M * R), M[h,w,c] = cos(h + 2w + 3c), as in golden_test.cpp: at (o,i,kh,kw) of each parameter.
GOLDEN = {
    True: {"0.weight": ((1, 0, 0, 2), -0.010524109), "4.weight": ((2, 0, 1, 1), -0.002678318),
           "9.weight": ((0, 1), 0.087358965), "1.weight": ((0,), 0.058521620)},
    False: {"0.weight": ((1, 0, 0, 2), -0.140420949), "4.weight": ((2, 0, 1, 1), 0.010932671),
            "9.weight": ((0, 1), 0.635145963), "1.weight": ((0,), 0.112269032)},
}


def golden_error():
    mask = grid((1, 2, 6, 6), lambda _, c, h, w: torch.cos(h + 2 * w + 3 * c))
    worst = 0.0
    for positive, values in GOLDEN.items():
        for name, (index, value) in values.items():
            g = central_differences(lambda p: relevance_of_network(p, positive), NETWORK, name, lambda r: (mask * r).sum())
            worst = max(worst, abs(g[index].item() - value))
    return worst


def main():
    ours = backlight(sys.argv[1])
    worst = 0.0
    print("| network | rule | gradient of | norm | its first value: differences | Backlight | Zennit | "
          "error of Backlight | error of Zennit | wrong signs of Zennit |\n|---|---|---|---|---|---|---|---|---|---|")
    for network, parameters, relevance, x, names, title in [
        ("linear", LINEAR, relevance_of_linear, VECTOR, ["0.weight"], {False: "epsilon", True: "z_plus"}),
        ("network", NETWORK, relevance_of_network, IMAGE, ["0.weight", "4.weight", "9.weight", "1.weight"],
         {False: "epsilon", True: "epsilon_plus"}),
    ]:
        for positive in (False, True):
            r, theirs = with_zennit(parameters, positive, x, names)
            exact = relevance(parameters, positive)
            same = (r - exact).abs().max() / exact.abs().max()
            assert same < 1e-10, f"the relevances differ by {same}"
            assert abs(ours[f"{network}:{title[positive]}", "loss"] / half_square(exact) - 1) < 1e-10
            for name, of_zennit in zip(names, theirs):
                difference = central_differences(lambda p: relevance(p, positive), parameters, name)
                here = ours[f"{network}:{title[positive]}", name].view_as(in_memory(difference))
                error = relative(here, in_memory(difference))
                worst = max(worst, error)
                first = [t.flatten()[0].item() for t in (in_memory(difference), here)]
                zennit = ["none", "", ""]
                if of_zennit is not None and name != "1.weight":
                    zennit = [f"{in_memory(of_zennit).flatten()[0]:.7f}", f"{relative(of_zennit, difference):.2f}",
                              f"{(of_zennit * difference < 0).sum()} of {difference.numel()}"]
                print(f"| {network} | {title[positive]} | {name} | {difference.norm():.4f} | {first[0]:.7f} | {first[1]:.7f} | "
                      f"{zennit[0]} | {error:.1e} | {zennit[1]} | {zennit[2]} |")
    golden = golden_error()
    print(f"golden_test.cpp, second order: largest difference {golden:.1e}")
    return 1 if worst > 1e-7 or golden > 2e-9 else 0


if __name__ == "__main__":
    sys.exit(main())
