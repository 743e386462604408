#!/usr/bin/env python3
"""Ten training steps against torchvision: the losses from the same weights and the same batches. Not part of the test
run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy pillow safetensors torch torchvision
    /tmp/oracle/bin/python tests/oracle/training_steps.py build/release/backlight [NAME ...]

PyTorch writes the weights with which both begin. Each step has a batch of its own, 16 noisy pictures: an epoch is one
step, and before each the pictures in the folder are replaced and the run is resumed; their order within the batch
changes nothing but rounding. SGD with momentum 0.9, weight decay 5e-4, f32. The fourth column, PyTorch's own f32 losses
against its f64 losses, is what rounding does. Ten steps amplify it, in PyTorch too, beyond any use with ten times the
learning rate or where residual branches do not start at zero; so here they do. Exits with 1 when a loss differs by more
than the last column, relative: 1e-4, or twice what rounding does to PyTorch where that is more.
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

CASES = [("resnet18", 128, 1e-3), ("resnet50", 128, 1e-3), ("resnet50", 224, 1e-3), ("vgg11_bn", 128, 1e-4),
         ("vgg16", 64, 1e-3)]  # name, pixels, learning rate
BATCH, CLASSES, STEPS, LIMIT = 16, 4, 10, 1e-4
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_pictures(folder: pathlib.Path, side: int, step: int) -> torch.Tensor:
    """A colour a class under noise, as PNG files; (N, 3, H, W) normalised, picture n of class n mod CLASSES."""
    generator = np.random.default_rng(step)
    pictures = []
    for n in range(BATCH):
        base = np.array([(37 * (n % CLASSES)) % 256, (101 * (n % CLASSES)) % 256, (67 * n) % 256])
        picture = np.clip(base + generator.normal(0, 60, (side, side, 3)), 0, 255).astype(np.uint8)
        place = folder / f"class{n % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{n}.png")
        pictures.append(picture)
    pixels = torch.from_numpy(np.stack(pictures)).float() / 255
    return ((pixels - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(0, 3, 1, 2).contiguous()


def build(name: str) -> torch.nn.Module:
    options = {"dropout": 0.0} if name.startswith("vgg") else {"zero_init_residual": True}
    return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options)


def their_losses(net: torch.nn.Module, batches: list, rate: float) -> list:
    net.train()
    y = torch.arange(BATCH) % CLASSES
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses = []
    for x in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def our_losses(program: str, name: str, folder: pathlib.Path, side: int, rate: float) -> list:
    model = name + ("(dropout=0)" if name.startswith("vgg") else "")
    for step in range(STEPS):
        write_pictures(folder / "pictures", side, step)
        subprocess.run([program, "train", "--model", model, "--weights", str(folder / "weights.safetensors"),
                        *(["--resume"] if step else []), "--data", f"folder:{folder / 'pictures'}(test_share=0, limit_test=1)", "--run", str(folder / "run"),
                        "--epochs", str(step + 1), "--batch-size", str(BATCH), "--optimizer", "sgd", "--lr", str(rate),
                        "--momentum", str(MOMENTUM), "--weight-decay", str(WEIGHT_DECAY)],
                       check=True, capture_output=True, text=True)
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def largest_difference(a: list, b: list) -> float:
    assert len(a) == len(b) == STEPS
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def main() -> None:
    program, names = sys.argv[1], sys.argv[2:]
    failed = False
    print("| network, pixels, learning rate | loss of steps 1, 5, 10 | ours against PyTorch | PyTorch's f32 against its f64 "
          "| limit |")
    print("|---|---|---|---|---|")
    for name, side, rate in CASES:
        if names and name not in names:
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            net = build(name)
            save_file(net.state_dict(), folder / "weights.safetensors")
            batches = [write_pictures(folder / "pictures", side, step) for step in range(STEPS)]
            exact = their_losses(copy.deepcopy(net).double(), [x.double() for x in batches], rate)
            theirs = their_losses(net, batches, rate)
            ours = our_losses(program, name, folder, side, rate)
        error = largest_difference(ours, theirs)
        rounding = largest_difference(theirs, exact)
        limit = max(LIMIT, 2 * rounding)
        failed = failed or not error <= limit  # NaN fails
        print(f"| {name}, {side}, {rate:g} | {ours[0]:.4f}, {ours[4]:.4f}, {ours[9]:.4f} | {error:.1e} | "
              f"{rounding:.1e} | {limit:.1e} |", flush=True)
    sys.exit(failed)


main()
