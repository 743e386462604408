#!/usr/bin/env python3
"""Every explanation method on torchvision's VGG and ResNet, against Captum, Zennit, autograd and the papers' formulas.
Not part of the test run.

    tests/oracle/compare.py build/release/backlight [--precision f64|f32] [--models A,B] [--venv FOLDER] [TEXT ...]

Where PyTorch, Captum, Zennit and safetensors are not at hand, they are installed with pip into a virtual environment in
--venv (./oracle-venv), which is used from then on. Only rows whose name contains one of the TEXTs. Random weights and batch norm statistics (random_networks.py); the
reference computes in f64 and lies in references.py. `--precision f64` compares at 64 pixels, f32 at 224. Errors are
max |ours - theirs| / max |theirs|, and exit is 1 when one exceeds its limit: 1e-9 in f64; 1e-4 in f32, 1e-3 for rules
that divide by signed sums (epsilon, gamma, box, residual sums). In f32 rounding decides ReLUs and max pools whose inputs
are tied to a millionth, and gradients jump with them. Beyond the limit, the reference takes the decisions of the program,
which decisions.py finds (marked *). What is still beyond it may have three times the error that PyTorch itself has in f32
(in parentheses); and 5e-2 where many forward passes have their own decisions, as in integrated gradients.
"""
import argparse
import copy
import importlib.util
import os
import functools
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

PACKAGES = ("numpy", "safetensors", "torch", "torchvision", "captum", "zennit")
if not all(map(importlib.util.find_spec, PACKAGES)):
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--venv", type=pathlib.Path, default=pathlib.Path("oracle-venv"))
    python = first.parse_known_args()[0].venv.absolute() / "bin/python"
    if pathlib.Path(sys.executable) == python:
        sys.exit(f"compare.py: pip left out some of {', '.join(PACKAGES)}")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    os.execv(python, [python, *sys.argv])

import numpy as np
import torch
from captum import attr
from safetensors.torch import load_file, save_file

import decisions
import random_networks
import references as ref
from compared_methods import NO_POOL, ROWS, TARGET, captum
from random_networks import CLASSES

warnings.filterwarnings("ignore")  # Captum speaks of its hooks
MODELS = ["vgg11_bn", "resnet18", "resnet50", "vgg16"]
JUMPS = 5e-2


class Subject:
    """A network and a batch, there and here."""

    def __init__(self, name, precision, folder):
        self.name, self.precision, self.folder = name, precision, folder
        self.answers = {}  # of the program, by command
        self.turned = []  # ties of ReLUs and pools, see decisions.py
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
               "--input", subject.file("x"), "--precision", subject.precision,
               *(["--target", row.target] if row.target else []), *row.arguments(subject), *(["--method", text] if text else []),
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
    """Largest relative error of the row's methods, and what a cell says of it. Beyond the limit in f32, the reference takes
    the program's decisions (marked *); if that is not enough, PyTorch's own error in f32 stands beside."""
    worst, own, mark = 0.0, None, ""
    for method, reference in row.methods.items():
        ours, exact = explained(program, subject, row, method), references(reference, subject, row)
        error = largest(ours, exact)
        if subject.turned and not error <= limit:
            with decisions.turned([subject.net, subject.merged], subject.turned):
                turned = largest(ours, references(reference, subject, row))
            error, mark = (turned, "*") if turned < error else (error, mark)
        worst = error if not error <= worst else worst  # nan too
        if subject.precision == "f32" and not error <= limit:
            for fast in (True, False):
                with torch.backends.mkldnn.flags(enabled=fast):
                    own = max(own or 0.0, largest(references(reference, subject.in_f32, row), exact))
    return worst, own, f"{worst:.1e}{mark}" + ("" if own is None else f" ({own:.1e})")


def turned_here(program, subject):
    """The ties that the program decided otherwise in f32, found in its gradient."""
    if subject.precision == "f64":
        return []
    ours = explained(program, subject, ROWS[0], "gradient")
    ties = decisions.taken_otherwise(subject.net, subject.x, subject.gradient, ours.double().permute(0, 3, 1, 2))
    print(f"decided otherwise than in f64: {len(ties)}; " + ", ".join(
        f"{tie.module} by {abs(tie.step) / 2:.0e}" for tie in ties), flush=True)
    return ties


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
    parser.add_argument("--venv", help="where packages are installed if they are missing")
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
            subject.turned = turned_here(program, subject)
            if options.precision == "f64" and not options.rows:
                print("deep_lift: sums are off by %.1e, Captum's by %.1e" % tuple(completeness(program, subject)),
                      flush=True)
            for row in ROWS:
                if not row.suits(subject) or (options.rows and not any(text in row.name for text in options.rows)):
                    continue
                limit = row.limit if subject.precision == "f64" else 1e-3 if row.loose(subject) else 1e-4
                begin = time.time()
                try:
                    error, own, cell = compare(program, subject, row, limit)
                    fits = error <= max(limit, 3 * (own or 0.0), JUMPS if row.jumps and own is not None else 0)
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
