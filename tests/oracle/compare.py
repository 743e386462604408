#!/usr/bin/env python3
"""Every explanation method on torchvision's VGG and ResNet, against Captum, Zennit, autograd and the papers' formulas.
Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy safetensors torch torchvision captum zennit
    /tmp/oracle/bin/python tests/oracle/compare.py build/release/backlight [--precision f64|f32] [--models A,B] [TEXT ...]

Only rows whose name contains one of the TEXTs. Random weights and batch norm statistics (random_networks.py); the
reference computes in f64 and lies in references.py. `--precision f64` compares at 64 pixels, f32 at 224. Errors are
max |ours - theirs| / max |theirs|, and exit is 1 when one exceeds its limit: 1e-9 in f64; 1e-4 in f32, 1e-3 for rules
that divide by signed sums (epsilon, gamma, box, residual sums). Where f32 is beyond its limit, PyTorch's own error in
f32 is measured too (a ReLU or a max pool that decides otherwise), and three times it is allowed.
"""
import argparse
import copy
import functools
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
from captum import attr
from safetensors.torch import load_file, save_file

import random_networks
import references as ref
from random_networks import CLASSES, HIGH, LOW

warnings.filterwarnings("ignore")  # Captum speaks of its hooks
MODELS = ["vgg11_bn", "resnet18", "resnet50", "vgg16"]
NO_POOL = "resnet18(small=true)"  # for what goes wrong elsewhere where a max pool follows a ReLU
TARGET = 3


class Subject:
    """A network and a batch, there and here."""

    def __init__(self, name, precision, folder):
        self.name, self.precision, self.folder = name, precision, folder
        self.answers = {}  # of the program, by command
        side = 64 if precision == "f64" else 224
        if name == NO_POOL:
            side = 32
        self.half, self.steps = side // 2, 50 if precision == "f64" and name != "vgg16" else 10
        self.net = random_networks.random_network(name)
        self.merged = random_networks.with_merged_norms(self.net)
        self.x = random_networks.random_input(1 if precision == "f32" or name.startswith("vgg") else 2, side)
        self.background = random_networks.random_input(3, side)
        self.start = torch.randn(len(self.x), CLASSES).double()
        self.targets = torch.full((len(self.x),), TARGET)
        with torch.no_grad():
            self.logits = self.net(self.x)
        self.predicted = self.logits.argmax(1)
        self.is_resnet = name.startswith("resnet")
        self.layer = "layer2" if self.is_resnet else "features.5"
        self.upper = "layer3.0.conv1" if self.is_resnet else "features.8"
        with ref.recorded(self.net, [self.layer]) as found, torch.no_grad():
            self.net(self.x)
        value = found[self.layer][0]
        self.neuron = tuple(np.unravel_index(value.permute(1, 2, 0).argmax().item(), (*value.shape[1:], value.shape[0])))
        self.cam = {"vgg11_bn": "features.27", "vgg16": "features.29"}.get(name, "layer4")
        for file, value in (("x", self.x), ("background", self.background), ("baseline", self.background[:1])):
            np.save(self.file(file), value.permute(0, 2, 3, 1).contiguous().float().numpy())
        np.save(self.file("start"), self.start.float().numpy())
        self.start = self.start.float().double()
        save_file({k: v.float().contiguous() if v.is_floating_point() else v for k, v in self.net.state_dict().items()},
                  folder / "weights.safetensors")

    def file(self, name):
        return self.folder / f"{name}.npy"

    def gradient(self, start="one", layer="", targets=None):
        targets = self.targets if targets is None else targets
        return ref.traverse(self.net, self.x, ref.start_of(start, targets), [layer])[0][0]

    @functools.cached_property
    def in_f32(self):
        """The same there, computed in f32."""
        single = copy.copy(self)
        single.net, single.merged = (copy.deepcopy(net).float() for net in (self.net, self.merged))
        single.x, single.background, single.start = self.x.float(), self.background.float(), self.start.float()
        return single

    def lrp(self, composite, start="logit", targets=None, **more):
        targets = self.targets if targets is None else targets
        return ref.traverse(self.merged, self.x, ref.start_of(start, targets) if isinstance(start, str) else start,
                            composite=composite, **more)[0]


@dataclass
class Row:
    name: str
    methods: dict  # text of --method -> reference(subject)
    arguments: Callable = lambda s: []
    loose: Callable = lambda s: False  # the limit in f32
    target: str = str(TARGET)
    suits: Callable = lambda s: s.name != NO_POOL
    output: str = "out.npy"
    limit: float = 1e-9  # in f64


def always(s):
    return True


def exactly(s):
    return s.precision == "f64" and s.name != NO_POOL


def resnets(s):
    return s.is_resnet and s.name != NO_POOL


def lrp_row(name, start="logit", targets=None):
    text = name
    if name in ("epsilon_gamma_box", "gamma with a box", "deep_taylor_bounded"):
        low, high = (":".join(map(str, bound)) for bound in (LOW, HIGH))
        text = f"{name.split()[0]}(low={low}, high={high})"
    return Row(name, {text: lambda s: s.lrp(ref.LRP[name](), start, targets and targets(s))[0]},
               loose=always if any(rule in name for rule in ("epsilon", "gamma", "box", "bounded", "preset", "w2"))
               else resnets,
               target="predicted" if targets else str(TARGET))


def starts():
    kinds = ["one", "logit", "prob", "contrastive", "sum-log-prob", "logodds", "relu-logit"]
    return {f"gradient(start={kind})": functools.partial(lambda s, kind: s.gradient(kind), kind=kind) for kind in kinds}


def paths():
    def gradient(s, which):
        with ref.cut(s.net, which):
            return s.gradient()

    def relevance(s, which, reroute):
        with ref.cut(s.merged, which, reroute):
            return s.lrp(ref.LRP["epsilon_plus"]())[0]

    methods = {}
    for which in ("exclude_strided_shortcuts", "exclude_shortcuts", "only_strided_shortcuts"):
        methods[f"gradient(paths={which})"] = functools.partial(gradient, which=which)
        for handling in ("drop", "reroute"):
            methods[f"epsilon_plus(paths={which}, handling={handling})"] = functools.partial(
                relevance, which=which, reroute=handling == "reroute")
    return methods


def all_classes(explain):
    return lambda s: torch.stack([explain(s, torch.full_like(s.targets, k)) for k in range(CLASSES)])


def neuron(s, position, composite=None, layer=None):
    def start(value):
        mask = torch.zeros_like(value)
        mask[(slice(None), position[-1], *position[:-1])] = 1
        return mask * value if composite else mask

    net = s.merged if composite else s.net
    return ref.traverse(net, s.x, start, of=layer or s.layer, composite=composite)[0][0]


def captum(kind, **options):
    return lambda s: ref.captum(kind(s.net), s.x, s.targets, **options)


def captum_layer(kind):
    return lambda s: ref.captum(kind(s.net, s.net.get_submodule(s.layer)), s.x, s.targets)


def composite_text():
    low, high = (":".join(map(str, bound)) for bound in (LOW, HIGH))
    return f"first:zbox(low={low},high={high}); conv:gamma(0.25); linear:epsilon(1e-6)"


ROWS = [
    Row("gradient", {"gradient": lambda s: s.gradient()}),
    Row("gradient, every start", starts(), suits=lambda s: exactly(s) and s.name == "resnet18"),
    Row("gradient, all classes", {"gradient": all_classes(lambda s, t: s.gradient(targets=t))}, target="all",
        suits=exactly),
    Row("saliency", {"saliency": lambda s: s.gradient().abs().amax(1, True)}),
    Row("input_x_gradient", {"input_x_gradient": captum(attr.InputXGradient)}),
    Row("smoothgrad, smoothgrad_sq, no noise", {
        "smoothgrad(noise_level=0, n=2)": lambda s: s.gradient(),
        "smoothgrad_sq(noise_level=0, n=2)": lambda s: s.gradient() ** 2}),
    Row("integrated_gradients", {
        "integrated_gradients(n=STEPS)": lambda s: ref.integrated(s.net, s.x, s.targets, s.steps)},
        suits=exactly),
    Row("integrated_gradients, Captum (weights in f32)", {
        "integrated_gradients(n=STEPS)": lambda s: ref.captum(
            attr.IntegratedGradients(s.net), s.x, s.targets, n_steps=s.steps, internal_batch_size=8)}, limit=1e-7),
    Row("the same at a layer", {
        "integrated_gradients(n=8)": lambda s: ref.captum(
            attr.LayerIntegratedGradients(s.net, s.net.get_submodule(s.layer)), s.x, s.targets, n_steps=8)},
        arguments=lambda s: ["--layer", s.layer], limit=1e-7),
    Row("expected_gradients, one background sample", {
        "expected_gradients(k=8, stratified=true)": lambda s: ref.integrated(
            s.net, s.x, s.targets, 8, s.background[:1].expand_as(s.x), "midpoint")},
        arguments=lambda s: ["--background", s.file("baseline")]),
    Row("guided_backprop", {"guided_backprop": captum(attr.GuidedBackprop)}),
    Row("deconvnet", {"deconvnet": captum(attr.Deconvolution)}),
    Row("smooth_relu", {"smooth_relu": lambda s: ref.traverse(
        s.net, s.x, ref.start_of("one", s.targets), composite=ref.composites.BetaSmooth(10.0))[0][0]}),
    Row("cam", {"cam": lambda s: ref.class_activation(s.net, s.x, s.targets)}, suits=resnets),
    Row("grad_cam", {"grad_cam": lambda s: ref.upsampled(ref.captum(
        attr.LayerGradCam(s.net, s.net.get_submodule(s.cam)), s.x, s.targets, relu_attributions=True), s.x)}),
    Row("grad_cam_pp", {"grad_cam_pp": lambda s: ref.from_gradients(s.net, s.x, s.targets, s.cam, ref.grad_cam_pp)}),
    Row("hires_cam", {"hires_cam": lambda s: ref.from_gradients(s.net, s.x, s.targets, s.cam, ref.hires_cam)}),
    Row("guided_grad_cam", {"guided_grad_cam": lambda s: ref.captum(
        attr.GuidedGradCam(s.net, s.net.get_submodule(s.cam)), s.x, s.targets, interpolate_mode="bilinear")}),
    *[lrp_row(name) for name in ref.LRP if not name.startswith(("deep_taylor", "excitation"))],
    Row("preset_b_flat_until(k=2)", {"preset_b_flat_until(k=2)": lambda s: s.lrp(ref.flat_until(2)(s.merged))[0]},
        loose=always),
    Row("composite from text", {"": lambda s: s.lrp(ref.LRP["epsilon_gamma_box"]())[0]},
        arguments=lambda s: ["--composite", composite_text()], loose=always),
    lrp_row("excitation_backprop", "one"),
    Row("contrastive_eb", {"contrastive_eb": lambda s: ref.contrastive_eb(s.merged, s.x, s.targets)},
        loose=resnets),
    lrp_row("deep_taylor", "relu-logit", lambda s: s.predicted),
    lrp_row("deep_taylor_bounded", "relu-logit", lambda s: s.predicted),
    Row("deep_taylor(variant=innvestigate)", {"deep_taylor(variant=innvestigate)": lambda s: s.lrp(
        ref.innvestigate_taylor(s.merged), "relu-logit", s.predicted)[0]}, target="predicted",
        loose=resnets),
    Row("deep_lift", {"deep_lift(baseline=BASELINE)": lambda s: ref.deep_lift(
        s.net, s.x, s.background[:1].expand_as(s.x), s.targets)[0]}),
    Row("deep_lift at a layer", {"deep_lift(baseline=BASELINE)": lambda s: ref.deep_lift(
        s.net, s.x, s.background[:1].expand_as(s.x), s.targets, [s.layer])[0]},
        arguments=lambda s: ["--layer", s.layer]),
    Row("deep_shap", {"deep_shap": lambda s: ref.deep_shap(
        lambda b: ref.deep_lift(s.net, s.x, b, s.targets)[0], s.x, s.background)},
        arguments=lambda s: ["--background", s.file("background")]),
    Row("deep_lift, Captum", {"deep_lift": captum(attr.DeepLift)}, suits=lambda s: s.name == NO_POOL),
    Row("deep_shap, Captum", {"deep_shap": lambda s: ref.captum(
        attr.DeepLiftShap(s.net), s.x, s.targets, baselines=s.background)},
        arguments=lambda s: ["--background", s.file("background")], suits=lambda s: s.name == NO_POOL),
    Row("contextual_decomposition", {
        "contextual_decomposition(window=HALF)": lambda s: ref.decomposition(s.merged, s.x, s.targets, s.half)},
        suits=lambda s: s.name not in ("resnet50", NO_POOL)),  # on which rounding decides, see docs/explain.md
    Row("gradient at a layer", {
        "gradient": lambda s: s.gradient(layer=s.layer),
        "input_x_gradient": captum_layer(attr.LayerGradientXActivation)},
        arguments=lambda s: ["--layer", s.layer]),
    Row("LRP at a layer", {
        method: functools.partial(lambda s, method: s.lrp(ref.LRP[method](), layers=[s.layer])[0], method=method)
        for method in ("epsilon_plus", "epsilon", "gamma", "epsilon_alpha2_beta1")},
        arguments=lambda s: ["--layer", s.layer], loose=always),
    Row("LRP at three layers at once", {"epsilon_plus": lambda s: dict(zip(
        (s.layer, s.upper, s.cam), s.lrp(ref.LRP["epsilon_plus"](), layers=[s.layer, s.upper, s.cam])))},
        arguments=lambda s: ["--layer", s.layer, "--layer", f"{s.upper},{s.cam}"], loose=always,
        output="out.safetensors"),
    Row("LRP, all classes", {"epsilon_plus": all_classes(
        lambda s, t: s.lrp(ref.LRP["epsilon_plus"](), targets=t)[0])}, target="all", loose=always,
        suits=exactly),
    Row("--start", {
        "gradient": lambda s: ref.traverse(s.net, s.x, lambda _: s.start)[0][0],
        "epsilon_plus": lambda s: s.lrp(ref.LRP["epsilon_plus"](), lambda _: s.start)[0]},
        arguments=lambda s: ["--start", s.file("start")], loose=always),
    Row("--neuron, a channel", {
        "gradient": lambda s: neuron(s, (3,)),
        "epsilon_plus": lambda s: neuron(s, (3,), ref.LRP["epsilon_plus"]())},
        arguments=lambda s: ["--neuron", f"{s.layer}:3"], loose=always),
    Row("--neuron, one position", {
        "gradient": lambda s: neuron(s, s.neuron),
        "gamma": lambda s: neuron(s, s.neuron, ref.LRP["gamma"]())},
        arguments=lambda s: ["--neuron", ":".join(map(str, (s.layer, *s.neuron)))], loose=always),
    Row("paths", paths(), suits=lambda s: s.is_resnet and exactly(s)),
    Row("--parameters, epsilon", {"epsilon": lambda s: ref.parameter_relevance(
        s.merged, s.x, s.targets, ref.LRP["epsilon"](), ref.plain)},
        arguments=lambda s: ["--parameters", s.folder / "parameters.safetensors"], loose=always,
        output="parameters.safetensors"),
    Row("--parameters, epsilon_plus", {"epsilon_plus": lambda s: ref.parameter_relevance(
        s.merged, s.x, s.targets, ref.LRP["epsilon_plus"](), ref.positive)},
        arguments=lambda s: ["--parameters", s.folder / "parameters.safetensors"], loose=always,
        output="parameters.safetensors"),
]


def nhwc(t):
    return t.movedim(-3, -1) if t.ndim >= 4 else t


def relative(ours, theirs):
    if ours.shape != theirs.shape:
        raise ValueError(f"{tuple(ours.shape)} != {tuple(theirs.shape)}")
    return ((ours.double() - theirs.double()).abs().max() / theirs.abs().max().clamp(min=1e-300)).item()


def largest(ours, theirs):
    """Of every tensor by its own largest value."""
    ours, theirs = ({"": t} if isinstance(t, torch.Tensor) else t for t in (ours, theirs))
    if ours.keys() != theirs.keys():
        raise ValueError(f"{sorted(ours)} != {sorted(theirs)}")
    return max(relative(ours[key], theirs[key]) for key in theirs)


def explained(program, subject, row, method):
    text = method.replace("STEPS", str(subject.steps)).replace("HALF", str(subject.half)).replace(
        "BASELINE", str(subject.file("baseline")))
    output = subject.folder / row.output
    command = [program, "explain", "--model", subject.name, "--weights", subject.folder / "weights.safetensors",
               "--input", subject.file("x"), "--precision", subject.precision, "--target", row.target,
               *row.arguments(subject), *(["--method", text] if text else []),
               "--out", subject.folder / "out.npy" if "parameters" in row.output else output]
    command = tuple(map(str, command))
    if command not in subject.answers:
        output.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{text}: exit {done.returncode}: {done.stderr}")
        answer = load_file(output) if output.suffix == ".safetensors" else torch.from_numpy(np.load(output))
        if "parameters" in row.output:
            return answer  # as large as the network
        subject.answers[command] = answer
    return subject.answers[command]


def references(reference, subject, row):
    theirs = reference(subject)
    if "parameters" in row.output:
        return theirs  # laid out as PyTorch's weights
    return {k: nhwc(v) for k, v in theirs.items()} if isinstance(theirs, dict) else nhwc(theirs)


def compare(program, subject, row, limit):
    """Largest relative error of the row's methods; and PyTorch's own in f32, where ours is beyond the limit."""
    worst, own = 0.0, None
    for method, reference in row.methods.items():
        ours, theirs = explained(program, subject, row, method), references(reference, subject, row)
        error = largest(ours, theirs)
        worst = error if not error <= worst else worst  # nan too
        if subject.precision == "f32" and not error <= limit:
            for fast in (True, False):
                with torch.backends.mkldnn.flags(enabled=fast):
                    own = max(own or 0.0, largest(references(reference, subject.in_f32, row), theirs))
    return worst, own


def completeness(program, subject):
    """What the sums of DeepLIFT's maps miss of f(x) - f(x'), ours and Captum's, whose pools behind a ReLU lose some."""
    row = next(row for row in ROWS if row.name == "deep_lift")
    reference = subject.background[:1].expand_as(subject.x)
    with torch.no_grad():
        gap = (subject.logits - subject.net(reference))[:, TARGET]
    maps = (explained(program, subject, row, next(iter(row.methods))),
            captum(attr.DeepLift, baselines=reference)(subject))
    return [((m.flatten(1).sum(1) - gap) / gap).abs().max().item() for m in maps]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--precision", choices=["f64", "f32"], default="f64")
    parser.add_argument("--models", default=",".join(MODELS + [NO_POOL]))
    parser.add_argument("rows", nargs="*", metavar="TEXT")
    options = parser.parse_intermixed_args()
    program, names = pathlib.Path(options.binary).resolve(), options.models.split(",")
    bad, cells = 0, {row.name: {} for row in ROWS}
    for name in names:
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            subject = Subject(name, options.precision, pathlib.Path(folder))
            print("%s: %s, standard deviations of layers %.2g to %.2g, logits %.2g to %.2g" % (
                name, tuple(subject.x.shape), *random_networks.spread(subject.net, subject.x), subject.logits.min(),
                subject.logits.max()), flush=True)
            if options.precision == "f64" and not options.rows:
                print("deep_lift: sums are off by %.1e, Captum's by %.1e" % tuple(completeness(program, subject)),
                      flush=True)
            for row in ROWS:
                if not row.suits(subject) or (options.rows and not any(text in row.name for text in options.rows)):
                    continue
                limit = row.limit if subject.precision == "f64" else 1e-3 if row.loose(subject) else 1e-4
                begin = time.time()
                try:
                    error, own = compare(program, subject, row, limit)
                    cell = f"{error:.1e}" if own is None else f"{error:.1e} (PyTorch: {own:.1e})"
                    fits = error <= max(limit, 3 * (own or 0.0))
                except Exception as problem:  # the other rows still say something
                    cell, fits = f"{type(problem).__name__}: {problem}", False
                bad += not fits
                cells[row.name][name] = cell
                print(f"{'ok ' if fits else 'BAD'} {name:22} {row.name:48} {cell} (<{limit:.0e}), "
                      f"{time.time() - begin:.0f} s", flush=True)
    print(f"\n{options.precision}\n| method | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for row, found in cells.items():
        if found:
            print(f"| {row} | " + " | ".join(found.get(name, "") for name in names) + " |")
    print(f"{sum(map(len, cells.values()))} comparisons, {bad} beyond their limit")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
