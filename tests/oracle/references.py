"""Explanations in PyTorch, for tests/oracle/compare.py: Captum, Zennit and autograd where they have the method, and the
paper's formula elsewhere. Images are (N,C,H,W), f64.
"""
import contextlib

import numpy as np
import torch
import torch.nn.functional as F
from captum import attr
from torch import fx, nn
from zennit import composites, rules
from zennit.core import Stabilizer
from zennit.types import Convolution
from zennit.types import Linear as Weighted

import random_networks


# ----------------------------------------------------------------------------------------------- traversals
@contextlib.contextmanager
def recorded(net, names):
    """Outputs of named modules; "" is the input, which the caller sets."""
    found = {}
    hooks = [net.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: found.update({name: y}))
             for name in names if name]
    yield found
    for hook in hooks:
        hook.remove()


def traverse(net, x, start, layers=("",), of="", composite=None):
    """What arrives at the layers when start(value) begins at the layer `of` ("": the output), and the layers' values."""
    x = x.clone().requires_grad_()
    with recorded(net, set(layers) | {of}) as found, composite.context(net) if composite else contextlib.nullcontext():
        out = net(x)
        found[""] = x
        y = found[of] if of else out
        points = [found[layer] for layer in layers]
        arrived = torch.autograd.grad(y, points, start(y.detach()))
    return [r.detach() for r in arrived], [p.detach() for p in points]


def start_of(kind, targets):
    """What begins at the logits, by name (docs/explain.md)."""
    def start(logits):
        one = F.one_hot(targets, logits.shape[1]).to(logits)
        p, classes = logits.softmax(1), logits.shape[1]
        logit, p_t = (logits * one).sum(1, True), (p * one).sum(1, True)
        clamped = p.clamp(1e-4, 1 - 1e-4)
        return {
            "one": one,
            "logit": logits * one,
            "prob": p * one,
            "contrastive": logit * (one - (1 - one) * p / (1 - p_t)),
            "sum-log-prob": 1 - classes * p,
            "logodds": (clamped * (classes - 1) / (1 - clamped)).log() * one,
            "relu-logit": logits.clamp(min=0) * one,
        }[kind]

    return start


# ------------------------------------------------------------------------------------------------------ LRP
def layer_map(convolution, linear, first=None, first_kind=Weighted, epsilon=1e-6, names=()):
    """Zennit's composites by rule; `names`: rules of named layers, which come first."""
    mapped = composites.layer_map_base(epsilon) + [(Convolution, convolution), (nn.Linear, linear)]
    if names:
        return composites.NameLayerMapComposite(names, mapped)
    return composites.SpecialFirstLayerMapComposite(mapped, [(first_kind, first)] if first else [])


def box(**kwargs):
    low, high = (torch.tensor(bound, dtype=torch.float64).view(1, 3, 1, 1)
                 for bound in (random_networks.LOW, random_networks.HIGH))
    return rules.ZBox(low, high, **kwargs)


def uniform(rule, first=None, epsilon=1e-6):
    return layer_map(rule, rule, first, epsilon=epsilon)


def alpha_beta(alpha, epsilon=1e-6):
    return rules.AlphaBeta(alpha, alpha - 1, stabilizer=epsilon)


def clipped(epsilon):
    return Stabilizer(epsilon, clip=True)


LRP = {
    "epsilon": lambda: uniform(rules.Epsilon(1e-6)),
    "epsilon(epsilon=0.25)": lambda: uniform(rules.Epsilon(0.25), epsilon=0.25),
    "epsilon(epsilon=0.1, norm_scale=true)": lambda: uniform(
        rules.Epsilon(Stabilizer(0.1, norm_scale=True)), epsilon=Stabilizer(0.1, norm_scale=True)),
    "epsilon_plus": lambda: composites.EpsilonPlus(),
    "epsilon_plus(zero_bias=true)": lambda: composites.EpsilonPlus(zero_params="bias"),
    "epsilon_plus_flat": lambda: composites.EpsilonPlusFlat(),
    "epsilon_alpha2_beta1": lambda: composites.EpsilonAlpha2Beta1(),
    "epsilon_alpha2_beta1_flat": lambda: composites.EpsilonAlpha2Beta1Flat(),
    "epsilon_gamma_box": lambda: layer_map(rules.Gamma(0.25), rules.Epsilon(1e-6), box(), Convolution),
    "z_plus": lambda: uniform(rules.ZPlus()),
    "z_plus(stabilizer=0.01, form=clip)": lambda: uniform(rules.ZPlus(clipped(0.01)), epsilon=clipped(0.01)),
    "gamma": lambda: uniform(rules.Gamma(0.25)),
    "gamma with a box": lambda: uniform(rules.Gamma(0.25), box()),
    "w2_first": lambda: layer_map(rules.ZPlus(), rules.Epsilon(1e-6), rules.WSquare()),
    "preset_a": lambda: layer_map(alpha_beta(1, 0.1), rules.Epsilon(0.1), epsilon=0.1),
    "preset_a_flat": lambda: layer_map(alpha_beta(1, 0.1), rules.Epsilon(0.1), rules.Flat(0.1), epsilon=0.1),
    "preset_b": lambda: layer_map(alpha_beta(2, 0.1), rules.Epsilon(0.1), epsilon=0.1),
    "preset_b_flat": lambda: layer_map(alpha_beta(2, 0.1), rules.Epsilon(0.1), rules.Flat(0.1), epsilon=0.1),
    "excitation_backprop": lambda: composites.ExcitationBackprop(stabilizer=1e-20, zero_params="bias"),
    "deep_taylor": lambda: uniform(rules.ZPlus(zero_params="bias"), rules.WSquare(zero_params="bias")),
    "deep_taylor_bounded": lambda: uniform(rules.ZPlus(zero_params="bias"), box(zero_params="bias")),
}


def weighted_names(net):
    return [name for name, module in net.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def rectified_names(net):
    """Layers that a ReLU follows: not the last one, nor what residual sums add."""
    blocks = [name for name, module in net.named_modules() if isinstance(module, random_networks.resnet.BasicBlock)]
    last = "conv2" if blocks else "conv3"
    return [name for name in weighted_names(net)[:-1]
            if "downsample" not in name and not (name.startswith("layer") and name.endswith(last))]


def flat_until(k):
    """preset_b with the flat rule on the first k + 1 layers in the order in which Backlight runs them: a residual block
    begins with the convolution of its shortcut."""
    def build(net):
        names = weighted_names(net)
        for shortcut in [name for name in names if "downsample" in name]:
            names.remove(shortcut)
            names.insert(names.index(shortcut.replace("downsample.0", "conv1")), shortcut)
        return layer_map(alpha_beta(2, 0.1), rules.Epsilon(0.1), epsilon=0.1, names=[(names[:k + 1], rules.Flat(0.1))])

    return build


def innvestigate_taylor(net):
    """w2 on the first layer and where no ReLU follows, alpha=1 beta=0 elsewhere, sums and averages by gradient."""
    squared = rules.WSquare(zero_params="bias")
    first, rectified = weighted_names(net)[0], rectified_names(net)
    return composites.MixedComposite([
        composites.NameMapComposite([([first], squared),
                                     (rectified, rules.AlphaBeta(1, 0, zero_params="bias"))]),
        composites.LayerMapComposite([(nn.ReLU, rules.Pass()), (Weighted, squared)]),
    ])


def contrastive_eb(net, x, targets):
    """Excitation backprop minus that of the classifier with negated weights: below it both are the same linear map."""
    classifier = net.get_submodule(weighted_names(net)[-1])
    maps = []
    for sign in (1, -1):
        classifier.weight.data *= sign
        maps.append(traverse(net, x, start_of("one", targets), composite=LRP["excitation_backprop"]())[0][0])
        classifier.weight.data *= sign
    return maps[0] - maps[1]


def parameter_relevance(net, x, targets, composite, summand):
    """R_W = W * d/dW sum(s z), s = R_y / stab(z) constant; Zennit gives R_y. summand(module, x, W, b) is z."""
    found = {}

    def keep(name):
        def hook(module, inputs, output):
            output.retain_grad()
            found[name] = (inputs[0].detach(), output)
        return hook

    hooks = [net.get_submodule(name).register_forward_hook(keep(name)) for name in weighted_names(net)]
    x = x.clone().requires_grad_()
    with composite.context(net):
        out = net(x)
        out.backward(start_of("logit", targets)(out.detach()))
    for hook in hooks:
        hook.remove()
    relevance = {}
    for name, (value, output) in found.items():
        module = net.get_submodule(name)
        weight, bias = module.weight.clone().requires_grad_(), None
        if module.bias is not None:
            bias = module.bias.clone().requires_grad_()
        z = summand(module, value, weight, bias)
        s = output.grad / (z + 1e-6 * torch.where(z >= 0, 1.0, -1.0).to(z)).detach()
        parameters = [weight] if bias is None else [weight, bias]
        for key, parameter, g in zip(("weight", "bias"), parameters, torch.autograd.grad((s * z).sum(), parameters)):
            relevance[f"{name}.{key}"] = (parameter * g).detach()
    return relevance


def apply(module, x, weight, bias):
    if isinstance(module, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation, module.groups)


def plain(module, x, weight, bias):
    return apply(module, x, weight, bias)


def positive(module, x, weight, bias):
    if isinstance(module, nn.Linear):
        return plain(module, x, weight, bias)
    return (apply(module, x.clamp(min=0), weight.clamp(min=0), bias.clamp(min=0)) +
            apply(module, x.clamp(max=0), weight.clamp(max=0), None))


# ---------------------------------------------------------------------------------------------------- paths
class Reroute(nn.Module):
    """The sum of a residual block that sends all it gets to one branch."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def forward(self, parts):
        return parts[..., self.kept] + parts[..., 1 - self.kept].detach()


@contextlib.contextmanager
def cut(net, which, reroute=False):
    """Sums of residual blocks send nothing into one branch: its share disappears, or the other branch gets it."""
    blocks = [m for m in net.modules() if isinstance(m, (random_networks.BasicBlock, random_networks.Bottleneck))]
    hooks, joins = [], [(block, block.join) for block in blocks]
    for block in blocks:
        strided = block.downsample is not None and block.downsample[0].stride != (1, 1)
        if which != "exclude_shortcuts" and not strided:
            continue
        kept = 0 if which == "only_strided_shortcuts" else 1  # of (shortcut, main branch)
        if reroute:
            block.join = Reroute(kept)
        else:
            hooks.append(block.join.register_forward_pre_hook(lambda _, args, kept=kept: torch.stack(
                [part if i == kept else part.detach() for i, part in enumerate(args[0].unbind(-1))], -1)))
    yield
    for hook in hooks:
        hook.remove()
    for block, join in joins:
        block.join = join


# ------------------------------------------------------------------------------------------------- the rest
def class_activation(net, x, targets):
    with recorded(net, ["layer4"]) as found, torch.no_grad():
        net(x)
    return upsampled(torch.einsum("nc,nchw->nhw", net.fc.weight[targets], found["layer4"])[:, None], x)


def upsampled(map_, x):
    return F.interpolate(map_, size=x.shape[2:], mode="bilinear", align_corners=False)


def grad_cam_pp(g, a):
    share = g ** 2 / (2 * g ** 2 + a.sum((2, 3), True) * g ** 3 + 1e-6)
    return ((share * g.clamp(min=0)).sum((2, 3), True) * a).sum(1, True)


def hires_cam(g, a):
    return (g * a).sum(1, True)


def from_gradients(net, x, targets, layer, map_):
    (g,), (a,) = traverse(net, x, start_of("one", targets), [layer])
    return upsampled(map_(g, a).clamp(min=0), x)


def deep_lift(net, x, reference, targets, layers=("",)):
    """Forward passes of x and of the reference give each ReLU and each max pool the linear map that stands for it; the
    gradient of that linear network is the multiplier. Eq. 12 of Shrikumar et al., 2017; cross-max for pools."""
    modules = [m for m in net.modules() if isinstance(m, (nn.ReLU, nn.MaxPool2d))]
    passes = []
    for value in (x, reference):
        kept = {}
        hooks = [m.register_forward_hook(lambda m, i, o: kept.update({m: (i[0], o)})) for m in modules]
        with torch.no_grad(), recorded(net, layers) as found:
            net(value)
        for hook in hooks:
            hook.remove()
        passes.append((kept, {**found, "": value}))
    (here, values), (there, references) = passes

    def ratio(a, b, otherwise):
        small = b.abs() < 1e-10
        return torch.where(small, otherwise, a / torch.where(small, 1.0, b))

    def linear(module, inputs, _):
        (x_in, x_out), (r_in, r_out) = here[module], there[module]
        if isinstance(module, nn.ReLU):
            return inputs[0] * ratio(x_out - r_out, x_in - r_in, (x_in > 0).to(x_in))
        largest = torch.maximum(x_out, r_out)
        scaled = ratio(inputs[0], x_in - r_in, torch.zeros_like(x_in))
        pick = lambda v: scaled.flatten(2).gather(2, winners(module, v).flatten(2)).view_as(x_out)
        return pick(x_in) * (largest - r_out) + pick(r_in) * (x_out - largest)

    hooks = [m.register_forward_hook(linear) for m in modules]
    (*multipliers,), _ = traverse(net, x, start_of("one", targets), layers)
    for hook in hooks:
        hook.remove()
    return [(values[layer] - references[layer]) * m for layer, m in zip(layers, multipliers)]


def winners(pool, x):
    return F.max_pool2d(x, pool.kernel_size, pool.stride, pool.padding, return_indices=True)[1]


class Decomposition(fx.Interpreter):
    """Contextual decomposition (Singh et al., 2019): every value is a pair (relevant, rest)."""

    def call_module(self, target, args, kwargs):
        module, (a, b) = self.fetch_attr(target), args[0]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            a, b = (apply(module, part, module.weight, None) for part in (a, b))
            bias = 0 if module.bias is None else module.bias.view(1, -1, *[1] * (a.ndim - 2))
            share = bias * a.abs() / (a.abs() + b.abs() + 1e-19)
            return a + share, b + bias - share
        if isinstance(module, nn.ReLU):
            return a.relu(), (a + b).relu() - a.relu()
        if isinstance(module, nn.MaxPool2d):
            at = winners(module, a + b)
            return tuple(part.flatten(2).gather(2, at.flatten(2)).view(at.shape) for part in (a, b))
        return module(a), module(b)

    def call_function(self, target, args, kwargs):
        def half(value, i):
            if isinstance(value, list):
                return [half(v, i) for v in value]
            return value[i] if isinstance(value, tuple) else value

        return tuple(target(*[half(a, i) for a in args], **kwargs) for i in (0, 1))


def decomposition(net, x, targets, side):
    """Each square of the input gets what it contributes, as a (N,1,H,W) map."""
    graph, map_ = fx.symbolic_trace(net), torch.zeros_like(x[:, :1])
    rows = torch.arange(len(x))
    for top in range(0, x.shape[2], side):
        for left in range(0, x.shape[3], side):
            mask = torch.zeros_like(map_)
            mask[:, :, top:top + side, left:left + side] = 1
            with torch.no_grad():
                relevant, _ = Decomposition(graph).run((x * mask, x - x * mask))
            map_ += mask * relevant[rows, targets].view(-1, 1, 1, 1)
    return map_


def captum(by, x, targets, **kwargs):
    return by.attribute(x.clone().requires_grad_(), target=targets, **kwargs).detach()


def deep_shap(explain, x, background):
    return torch.stack([explain(sample.expand_as(x)) for sample in background.split(1)]).mean(0)


def integrated(net, x, targets, n, baseline=None, rule="gauss-legendre"):
    """Integrated gradients with the weights of the quadrature in f64, which Captum rounds to f32."""
    baseline = torch.zeros_like(x) if baseline is None else baseline
    nodes, weights = np.polynomial.legendre.leggauss(n)
    if rule == "midpoint":
        nodes, weights = 2 * (np.arange(n) + 0.5) / n - 1, np.full(n, 2 / n)
    total = sum(weight / 2 * traverse(net, baseline + (1 + node) / 2 * (x - baseline), start_of("one", targets))[0][0]
                for node, weight in zip(nodes, weights))
    return (x - baseline) * total
