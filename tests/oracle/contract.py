#!/usr/bin/env python3
"""The command line against PyTorch, end to end: weights that PyTorch wrote, inputs that NumPy wrote, logits, explanations
and trained weights compared. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy safetensors torch torchvision zennit
    /tmp/oracle/bin/python tests/oracle/contract.py build/release/backlight

Run with torch 2.15, zennit 0.5.1, safetensors 0.8, numpy 2.4. Networks have random weights and random batch norm
statistics, all exact in f32; PyTorch computes in f64. Errors are max |ours - theirs| / max |theirs|. Gradients are
autograd's, LRP is Zennit's with batch norm merged, class activation maps are the paper's formula. Exits with 1
when an error exceeds its limit.
"""
import argparse
import copy
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from zennit import composites, rules
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.types import Convolution
from zennit.types import Linear as AnyLinear

SOURCE = pathlib.Path(__file__).resolve().parents[2]
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


# ------------------------------------------------------------------------------------------------ networks
def mlp(sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn_small(channels, classes=10):
    def block(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()]

    return nn.Sequential(*block(channels, 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 64), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(64, classes))


class CnnS(nn.Module):
    def __init__(self, channels=3, widths=(8, 16, 16), head="gap", size=16, hidden=32, classes=4):
        super().__init__()
        layers = []
        for i, width in enumerate(widths):
            layers += [nn.MaxPool2d(2)] if i > 0 else []
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.average = nn.AdaptiveAvgPool2d(1) if head == "gap" else nn.Identity()
        self.flatten = nn.Flatten()
        side = size // 2 ** (len(widths) - 1)
        self.classifier = nn.Sequential(nn.Linear(channels, classes)) if head == "gap" else nn.Sequential(
            nn.Linear(channels * side * side, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, x):
        return self.classifier(self.flatten(self.average(self.features(x))))


def randomize(net):
    """Random parameters and statistics that f32 holds exactly."""
    for name, value in net.state_dict().items():
        if value.ndim >= 2:
            value.normal_(0, (1.5 / value[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.3, 2)
        elif name.endswith("num_batches_tracked"):
            value.fill_(17)
        else:
            value.uniform_(-0.4, 0.4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(value.float().double())
    return net.eval()


class Subject:
    """A network there and here, and a batch for both."""

    def __init__(self, spec, net, shape, cam=None, layers=()):
        self.spec, self.net, self.cam, self.layers = spec, randomize(net), cam, layers
        batch = torch.rand(shape) * 2 - 1
        self.x = batch.float().double()  # NCHW or (N, D)

    def file(self):  # NHWC, as the program reads it
        return (self.x.permute(0, 2, 3, 1) if self.x.ndim == 4 else self.x).float().numpy()


SUBJECTS = [
    Subject("mlp(in=5, widths=64:32:16, out=2)", mlp([5, 64, 32, 16, 2]), (6, 5), layers=["1", "3", "2:in", "6"]),
    Subject("toy2", mlp([4, 5, 2]), (6, 4)),
    Subject("toy3", mlp([2, 2]), (6, 2)),
    Subject("cnn_small(in=1)", cnn_small(1), (4, 1, 8, 8), cam="9", layers=["2", "5", "6", "7:in", "9", "10", "12:in"]),
    Subject("cnn_small(in=3)", cnn_small(3, 5), (3, 3, 12, 10), cam="9"),
    Subject("cnn_s(in=3, channels=8:16:16, head=gap)", CnnS(), (4, 3, 16, 16), cam="features.7",
            layers=["features.1", "features.2", "features.5", "features.6:in", "features.7"]),
    Subject("cnn_s(in=3, channels=8:16:16, head=fc)", CnnS(head="fc"), (4, 3, 16, 16), cam="features.7",
            layers=["features.4", "classifier.1"]),
]


# -------------------------------------------------------------------------------------------- explanations
class GuidedRelu(nn.Module):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, grad):
            return grad.clamp(min=0) * (ctx.saved_tensors[0] > 0)

    def forward(self, x):
        return self.Function.apply(x)


def swapped(net, old, new):
    """The network with each module of a kind replaced; parameters are shared."""
    memo = {id(p): p for p in list(net.parameters()) + list(net.buffers())}
    clone = copy.deepcopy(net, memo)
    for parent in list(clone.modules()):
        for name, child in parent.named_children():
            if isinstance(child, old):
                setattr(parent, name, new())
    return clone


def captured(net, x, layer):
    """Logits, and the tensor that `layer` names: the input, L's output, or the input of L for L:in."""
    x = x.clone().requires_grad_()
    found = {None: x, "": x}
    hooks = []

    def keep(module, inputs, output):
        if layer.endswith(":in"):
            found[layer] = inputs[0]
        else:
            found[layer] = output
        found[layer].retain_grad()

    if layer:
        hooks.append(net.get_submodule(layer.removesuffix(":in")).register_forward_hook(keep))
    logits = net(x)
    for hook in hooks:
        hook.remove()
    return logits, found[layer]


def seed_of(logits, targets, start):
    one = F.one_hot(targets, logits.shape[1]).to(logits)
    return one if start == "one" else one * logits.detach()


def gradient(net, x, targets, layer, start="one"):
    logits, at = captured(net, x, layer)
    return torch.autograd.grad(logits, at, seed_of(logits, targets, start))[0], at.detach()


def zennit(composite):
    def explain(subject, targets, layer, start="logit"):
        net, x = subject.net, subject.x.clone().requires_grad_()
        found = {}
        handle = None
        if layer:
            name = layer.removesuffix(":in")
            module = net.get_submodule(name)
            if layer.endswith(":in"):  # what arrives at the module in front of it
                names = [n for n, m in net.named_modules() if not list(m.children()) and not isinstance(m, nn.Identity)]
                module = net.get_submodule(names[names.index(name) - 1])

            def keep(_, __, output):
                output.retain_grad()
                found["at"] = output

            handle = module.register_forward_hook(keep)
        logits = net(subject.x).detach()
        found.clear()
        with Gradient(net, composite()) as attributor:
            _, relevance = attributor(x, seed_of(logits, targets, start))
        if handle:
            handle.remove()
            relevance = found["at"].grad
        return relevance.detach()

    return explain


class ExactMerge(SequentialMergeBatchNorm):
    """Zennit's leaves the norm behind with variance 1 and its epsilon: outputs shrink by sqrt(1 + 1e-5), 5e-6 a layer."""

    def register(self, linears, batch_norm):
        super().register(linears, batch_norm)
        self.eps, batch_norm.eps = batch_norm.eps, 0.0

    def remove(self):
        super().remove()
        self.batch_norm.eps = self.eps


def canonizers():
    return [ExactMerge()]


def layer_map(convolution, linear, first=None):
    base = composites.layer_map_base(1e-6)
    mapped = base + [(Convolution, convolution), (AnyLinear, linear)]
    if first is None:
        return composites.LayerMapComposite(mapped, canonizers=canonizers())
    return composites.SpecialFirstLayerMapComposite(mapped, [(AnyLinear, first)], canonizers=canonizers())


BOX = (-1.5, 1.25)
LRP = {
    "epsilon": lambda: layer_map(rules.Epsilon(1e-6), rules.Epsilon(1e-6)),
    "epsilon(epsilon=0.25)": lambda: layer_map_scaled(0.25),
    "epsilon_plus": lambda: composites.EpsilonPlus(canonizers=canonizers()),
    "epsilon_plus_flat": lambda: composites.EpsilonPlusFlat(canonizers=canonizers()),
    "epsilon_alpha2_beta1": lambda: composites.EpsilonAlpha2Beta1(canonizers=canonizers()),
    "epsilon_alpha2_beta1_flat": lambda: composites.EpsilonAlpha2Beta1Flat(canonizers=canonizers()),
    f"epsilon_gamma_box(low={BOX[0]}, high={BOX[1]})":
        lambda: composites.EpsilonGammaBox(low=torch.tensor(BOX[0]), high=torch.tensor(BOX[1]), canonizers=canonizers()),
    "z_plus": lambda: layer_map(rules.ZPlus(), rules.ZPlus()),
    "gamma": lambda: layer_map(rules.Gamma(0.25), rules.Gamma(0.25)),
    "gamma(gamma=0.8)": lambda: layer_map(rules.Gamma(0.8), rules.Gamma(0.8)),
    "w2_first": lambda: layer_map(rules.ZPlus(), rules.Epsilon(1e-6), rules.WSquare()),
}


def layer_map_scaled(epsilon):
    """A preset's epsilon is also the stabilizer of its sums and averages."""
    return composites.LayerMapComposite(composites.layer_map_base(epsilon) + [(AnyLinear, rules.Epsilon(epsilon))],
                                        canonizers=canonizers())


def grad_cam(subject, targets, layer):
    g, a = gradient(subject.net, subject.x, targets, layer or subject.cam)
    map_ = (a * g.mean((2, 3), keepdim=True)).sum(1, keepdim=True).clamp(min=0)
    return F.interpolate(map_, size=subject.x.shape[2:], mode="bilinear", align_corners=False)


def expected(method, subject, targets, layer):
    if method in LRP:
        return zennit(LRP[method])(subject, targets, layer)
    if method == "grad_cam":
        return grad_cam(subject, targets, layer)
    net = swapped(subject.net, nn.ReLU, GuidedRelu) if method == "guided_backprop" else subject.net
    g, at = gradient(net, subject.x, targets, layer, "logit" if "start=logit" in method else "one")
    return g * at if method.startswith("input_x_gradient") else g


METHODS = ["gradient", "gradient(start=logit)", "input_x_gradient", "guided_backprop", "grad_cam", *LRP]


# ---------------------------------------------------------------------------------------------- comparison
class Table:
    def __init__(self):
        self.rows, self.bad = [], 0

    def add(self, where, what, errors, limits):
        ok = all(e <= limit for e, limit in zip(errors, limits))
        self.bad += not ok
        cells = "  ".join(f"{e:9.2e} (<{limit:.0e})" for e, limit in zip(errors, limits))
        self.rows.append(f"{'ok ' if ok else 'BAD'} {where:44} {what:42} {cells}")
        print(self.rows[-1], flush=True)


def relative(ours, theirs):
    theirs = theirs.detach().double().numpy()
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-300))


def nhwc(t):
    return t.movedim(-3, -1) if t.ndim >= 4 else t


class Program:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def run(self, *arguments):
        done = subprocess.run([self.binary, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def array(self, *arguments):
        out = self.folder / "out.npy"
        self.run(*arguments, "--out", out)
        return np.load(out)


def compare_inference(program, table):
    for subject in SUBJECTS:
        weights, x = program.folder / "w.safetensors", program.folder / "x.npy"
        save_file({k: v.float() if v.is_floating_point() else v for k, v in subject.net.state_dict().items()}, weights)
        common = ["--model", subject.spec, "--weights", weights, "--input", x]
        files = [("", subject.file())]
        if subject.x.ndim == 2:
            files.append((" as (N,1,1,D)", subject.file()[:, None, None, :]))
        for suffix, data in files:
            np.save(x, data)
            logits = subject.net(subject.x).detach()
            got = [program.array("predict", *common, "--precision", p) for p in ("f64", "f32")]
            table.add(subject.spec + suffix, "predict", [relative(g, logits) for g in got], (1e-12, 1e-5))

        np.save(x, subject.file())
        exact = copy.deepcopy(subject.net)  # weights that f32 does not hold
        for parameter in exact.parameters():
            parameter.data += 1e-9 * torch.randn_like(parameter)
        save_file(exact.state_dict(), program.folder / "w64.safetensors")
        got = program.array("predict", "--model", subject.spec, "--weights", program.folder / "w64.safetensors", "--input", x,
                            "--precision", "f64")
        table.add(subject.spec, "predict, weights in f64", [relative(got, exact(subject.x).detach())], (1e-12,))
        predicted, classes = logits.argmax(1), logits.shape[1]
        for method in METHODS:
            if method == "grad_cam" and subject.cam is None:
                continue
            layers = [""] + (list(subject.layers) if method in ("gradient", "input_x_gradient", "epsilon_plus", "gamma", "z_plus")
                             else ["5"] if method == "grad_cam" and subject.spec == "cnn_small(in=1)" else [])
            for layer in layers:
                targets = [("predicted", predicted)]
                if not layer and method in ("gradient", "epsilon_plus", "grad_cam"):
                    targets += [("1", torch.ones_like(predicted)), ("all", None)]
                for name, chosen in targets:
                    if chosen is None:
                        theirs = torch.stack([expected(method, subject, torch.full_like(predicted, k), layer)
                                              for k in range(classes)])
                    else:
                        theirs = expected(method, subject, chosen, layer)
                    more = ["--method", method, "--target", name] + (["--layer", layer] if layer else [])
                    got = [program.array("explain", *common, *more, "--precision", p) for p in ("f64", "f32")]
                    loose = "epsilon" in method or "gamma" in method or "w2" in method
                    table.add(subject.spec, f"{method} {name}{' at ' + layer if layer else ''}",
                              [relative(g, nhwc(theirs)) for g in got], (1e-9, 1e-3 if loose else 1e-4))


# ------------------------------------------------------------------------------------------------ training
def digits():
    """Within each class every fifth image is a test image."""
    rows = np.array([list(map(int, line.split(","))) for line in
                     gzip.open(SOURCE / "datasets/data/digits.csv.gz", "rt").read().split()])
    seen, is_test = {}, []
    for label in rows[:, -1]:
        is_test.append(seen.get(label, 0) % 5 == 4)
        seen[label] = seen.get(label, 0) + 1
    is_test = np.array(is_test)
    x = torch.from_numpy(rows[:, :-1] / 16.0).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(rows[:, -1])
    return (x[~is_test], y[~is_test]), (x[is_test], y[is_test])


def compare_training(program, table):
    (x, y), (x_test, y_test) = digits()
    # Whole batches: their order then does not matter.
    for options, optimizer in [
        (["--optimizer", "sgd", "--momentum", "0.9", "--nesterov", "--weight-decay", "0.01", "--lr", "0.1",
          "--label-smoothing", "0.1"],
         lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
        (["--optimizer", "sgd", "--momentum", "0", "--lr", "0.2", "--clip-norm", "0.05", "--label-smoothing", "0.1"],
         lambda p: torch.optim.SGD(p, lr=0.2)),
    ]:
        net = randomize(cnn_small(1)).train()
        start, run = program.folder / "start.safetensors", program.folder / f"run{len(table.rows)}"
        save_file({k: v.float() if v.is_floating_point() else v for k, v in net.state_dict().items()}, start)
        program.run("train", "--model", "cnn_small(in=1)", "--data", "digits", "--run", run, "--weights", start, "--epochs", 4,
                    "--batch-size", len(x), *options)
        update = optimizer(net.parameters())
        losses = []
        for _ in range(4):
            loss = F.cross_entropy(net(x), y, label_smoothing=0.1)
            update.zero_grad()
            loss.backward()
            if "--clip-norm" in options:
                nn.utils.clip_grad_norm_(net.parameters(), 0.05)
            update.step()
            losses.append(loss.item())
        net.eval()
        what = "train 4 steps, " + " ".join(options[:4])
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        table.add("cnn_small(in=1)", what + ": loss",
                  [relative(np.array([line["train_loss"] for line in lines]), torch.tensor(losses))], (1e-4,))
        trained = load_file(run / "weights.safetensors")
        worst = 0.0
        for name, value in net.state_dict().items():
            scale = 1.0 if name.endswith(("bias", "running_mean")) else value.abs().max().item()
            worst = max(worst, (trained[name].double() - value).abs().max().item() / scale)
        table.add("cnn_small(in=1)", what + ": weights", [worst], (1e-3,))

        fresh = cnn_small(1).float()
        fresh.load_state_dict(trained, strict=True)
        fresh.double().eval()
        logits = fresh(x_test).detach()
        report = program.folder / "evaluation.json"
        program.run("evaluate", "--model", "cnn_small(in=1)", "--weights", run / "weights.safetensors", "--data", "digits", "--out",
                    report)
        evaluation = json.loads(report.read_text())
        right = (logits.argmax(1) == y_test).double().mean().item()
        table.add("cnn_small(in=1)", "evaluate: loss and accuracy against torch",
                  [abs(evaluation["loss"] / F.cross_entropy(logits, y_test).item() - 1), abs(evaluation["accuracy"] - right)],
                  (1e-5, 1e-12))

    for spec, data, net in [
        ("mlp(in=5, widths=64:32:16, out=2)", "toy1", mlp([5, 64, 32, 16, 2])),
        ("toy1", "toy1", mlp([5, 64, 32, 16, 2])),
        ("toy2", "toy2", mlp([4, 5, 2])),
        ("toy3", "toy3", mlp([2, 2])),
        ("cnn_small(in=3)", "shapes16(n=64, n_test=16)", cnn_small(3, 4)),
        ("cnn_s(in=3, channels=8:16:16, head=gap)", "shapes16(n=64, n_test=16)", CnnS()),
        ("cnn_s(in=3, channels=8:16:16, head=fc)", "shapes16(n=64, n_test=16)", CnnS(head="fc")),
    ]:
        run = program.folder / f"run{len(table.rows)}"
        program.run("train", "--model", spec, "--data", data, "--run", run, "--epochs", 1, "--optimizer", "adam")
        trained = load_file(run / "weights.safetensors")
        net.float().load_state_dict(trained, strict=True)
        x = torch.rand((4, net[0].in_features)) if isinstance(net, nn.Sequential) and isinstance(net[0], nn.Linear) else \
            torch.rand((4, 3, 16, 16))
        x = x.float()
        np.save(program.folder / "x.npy", (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).numpy())
        got = program.array("predict", "--model", spec, "--weights", run / "weights.safetensors", "--input",
                            program.folder / "x.npy")
        table.add(spec, "trained weights load with strict=True", [relative(got, net.double().eval()(x.double()))], (1e-5,))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    binary = pathlib.Path(parser.parse_args().binary).resolve()
    table = Table()
    print("    relative errors: f64, f32", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        program = Program(binary, pathlib.Path(folder))
        compare_inference(program, table)
        compare_training(program, table)
    print(f"{len(table.rows)} comparisons, {table.bad} beyond their limit")
    return 1 if table.bad else 0


if __name__ == "__main__":
    sys.exit(main())
