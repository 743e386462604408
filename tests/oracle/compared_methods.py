"""What tests/oracle/compare.py compares: methods of the command line, and what stands for each in references.py."""
import functools
from dataclasses import dataclass
from typing import Callable

import torch
from captum import attr

import references as ref
from random_networks import CLASSES, HIGH, LOW

NO_POOL = "resnet18(small=true)"  # for what goes wrong elsewhere where a max pool follows a ReLU
TARGET = 3


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
    jumps: bool = False  # many forward passes, each with ties of its own


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
            attr.IntegratedGradients(s.net), s.x, s.targets, n_steps=s.steps, internal_batch_size=8)}, limit=1e-7, jumps=True),
    Row("the same at a layer", {
        "integrated_gradients(n=8)": lambda s: ref.captum(
            attr.LayerIntegratedGradients(s.net, s.net.get_submodule(s.layer)), s.x, s.targets, n_steps=8)},
        arguments=lambda s: ["--layer", s.layer], limit=1e-7, jumps=True),
    Row("expected_gradients, one background sample", {
        "expected_gradients(k=8, stratified=true)": lambda s: ref.integrated(
            s.net, s.x, s.targets, 8, s.background[:1].expand_as(s.x), "midpoint")},
        arguments=lambda s: ["--background", s.file("baseline")], jumps=True),
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
        arguments=lambda s: ["--start", s.file("start")], target="", loose=always),
    Row("--neuron, a channel", {
        "gradient": lambda s: neuron(s, (3,)),
        "epsilon_plus": lambda s: neuron(s, (3,), ref.LRP["epsilon_plus"]())},
        arguments=lambda s: ["--neuron", f"{s.layer}:3"], target="", loose=always),
    Row("--neuron, one position", {
        "gradient": lambda s: neuron(s, s.neuron),
        "gamma": lambda s: neuron(s, s.neuron, ref.LRP["gamma"]())},
        arguments=lambda s: ["--neuron", ":".join(map(str, (s.layer, *s.neuron)))], target="", loose=always),
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
