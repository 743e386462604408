#!/usr/bin/env python3
"""VGG and ResNet against torchvision, and timm's files: logits of weights that PyTorch wrote, and weights that Backlight
wrote in PyTorch. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy safetensors timm torch torchvision
    /tmp/oracle/bin/python tests/oracle/models.py build/release/backlight [NAME ...]

Random weights and batch norm statistics, f32, two images of 224 pixels; errors are max |ours - theirs| / max |theirs|.
Then one epoch of training writes the weights of a small ResNet-18, which load into torchvision with strict=True. Exits
with 1 when an error exceeds 1e-4.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

NAMES = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)] + [
    f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in (11, 13, 16, 19)] + [
    "resnet18(norm=group)", "resnet50(norm=group)", "timm resnet50", "timm vgg16", "timm vgg11_bn"]
LIMIT = 1e-4


def random_network(name: str) -> torch.nn.Module:
    options = {"norm_layer": lambda channels: torch.nn.GroupNorm(32, channels)} if "norm=group" in name else {}
    if name.startswith("timm "):
        net = timm.create_model(name.removeprefix("timm "), pretrained=False).eval()
    else:
        net = getattr(torchvision.models, name.split("(")[0])(weights=None, **options).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.GroupNorm)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return net


def call(*arguments) -> None:
    subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, text=True)


def logits_error(program: str, name: str, folder: pathlib.Path, dtype: torch.dtype) -> float:
    net, x = random_network(name), torch.randn(2, 3, 224, 224)
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in net.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    net.load_state_dict(state)  # rounded as the file is
    np.save(folder / "x.npy", x.permute(0, 2, 3, 1).contiguous().numpy())
    with torch.no_grad():
        theirs = net(x).numpy()
    call(program, "predict", "--model", name.removeprefix("timm "), "--weights", folder / "weights.safetensors", "--input", folder / "x.npy",
         "--out", folder / "y.npy")
    return float(np.abs(np.load(folder / "y.npy") - theirs).max() / np.abs(theirs).max())


def trained_weights_load(program: str, folder: pathlib.Path) -> None:
    call(program, "train", "--model", "resnet18(small=true, in=1)", "--data", "digits", "--epochs", "1", "--run",
         folder / "run")
    net = torchvision.models.resnet18(weights=None, num_classes=10)
    net.conv1 = torch.nn.Conv2d(1, 64, 3, padding=1, bias=False)
    net.load_state_dict(load_file(folder / "run" / "weights.safetensors"), strict=True)


def main() -> None:
    torch.manual_seed(0)
    program, names = sys.argv[1], sys.argv[2:] or NAMES
    worst = 0.0
    print("| network | relative error of the logits |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            error = logits_error(program, name, pathlib.Path(folder), torch.float32)
            worst = max(worst, error)
            print(f"| {name} | {error:.1e} |", flush=True)
        for dtype in (torch.float16, torch.bfloat16):
            error = logits_error(program, "resnet18", pathlib.Path(folder), dtype)
            worst = max(worst, error)
            print(f"| resnet18, file in {str(dtype).removeprefix('torch.')} | {error:.1e} |", flush=True)
        trained_weights_load(program, pathlib.Path(folder))
    print("weights written by `backlight train` load with strict=True")
    sys.exit(worst > LIMIT)


main()
