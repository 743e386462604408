#!/usr/bin/env python3
"""EfficientNet-Lite0 with its public weights against the PyTorch package that they are made for. Not part of the test run.

    python3 -m venv /tmp/oracle
    /tmp/oracle/bin/pip install numpy pillow safetensors torch torchvision efficientnet_lite_pytorch
    /tmp/oracle/bin/python scripts/efficientnet_lite0.py /tmp/lite0.safetensors
    /tmp/oracle/bin/python tests/oracle/efficientnet_lite0.py build/release/backlight /tmp/lite0.safetensors [IMAGENET]

Logits of the photographs at 224 pixels, and of noise at other sizes, where the asymmetric padding differs. IMAGENET is
a folder of class folders with a classes.txt (line n: the folder of class n); top-1 is then measured by both. Exits with
1 when an error max |ours - theirs| / max |theirs| exceeds 1e-4.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import v2

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "datasets" / "data" / "photos"
LIMIT = 1e-4
PREPARE = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Resize(256, antialias=True),
                      v2.CenterCrop(224), v2.Normalize([127 / 255], [128 / 255])])


def call(*arguments) -> str:
    return subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, text=True).stdout


def picture(path: pathlib.Path) -> torch.Tensor:
    return PREPARE(Image.open(path).convert("RGB"))


def logits_error(net: torch.nn.Module, program: str, weights: str, x: torch.Tensor, folder: pathlib.Path) -> float:
    np.save(folder / "x.npy", x.permute(0, 2, 3, 1).contiguous().numpy())
    call(program, "predict", "--model", "efficientnet_lite0", "--weights", weights, "--input", folder / "x.npy", "--out",
         folder / "y.npy")
    with torch.no_grad():
        theirs = net(x).numpy()
    return float(np.abs(np.load(folder / "y.npy") - theirs).max() / np.abs(theirs).max())


def top1(net: torch.nn.Module, program: str, weights: str, folder: pathlib.Path) -> None:
    classes = [line.split()[0] for line in (folder / "classes.txt").read_text().splitlines()]
    files = [(path, classes.index(path.parent.name)) for path in sorted(folder.glob("*/*.*"))]
    with torch.no_grad():
        right = sum(int(net(picture(path)[None]).argmax()) == label for path, label in files)
    print(f"PyTorch: top-1 {right} of {len(files)}")
    data = f"folder:{folder}(classes=classes.txt, test_share=0, resize=256, size=224, mean={127 / 255}, std={128 / 255})"
    ours = call(program, "evaluate", "--model", "efficientnet_lite0", "--weights", weights, "--data", data, "--top-k", 5)
    print("Backlight:", *[line for line in ours.splitlines() if "accuracy" in line], sep="\n  ")


def main() -> None:
    torch.manual_seed(0)
    program, weights = sys.argv[1:3]
    net = EfficientNet.from_name("efficientnet-lite0", image_size=None).eval()  # None: padding of the input at hand
    net.load_state_dict(load_file(weights), strict=True)
    inputs = {path.name: picture(path)[None] for path in sorted(PHOTOS.glob("*.*"))}
    inputs |= {f"noise {h} x {w}": torch.randn(2, 3, h, w) for h, w in ((224, 224), (225, 190), (97, 131))}
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, x in inputs.items():
            error = logits_error(net, program, weights, x, pathlib.Path(folder))
            worst = max(worst, error)
            print(f"| {name} | {error:.1e} |", flush=True)
    if len(sys.argv) > 3:
        top1(net, program, weights, pathlib.Path(sys.argv[3]))
    sys.exit(worst > LIMIT)


main()
