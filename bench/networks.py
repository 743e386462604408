#!/usr/bin/env python3
"""Whole networks against PyTorch: the table of docs/performance.md, medians over rounds in which the peers take turns.

    bench/networks.py --build build/release --torch-python PATH [--rounds 3] [--only resnet50] [--compile]

PyTorch's figure is the best of its forms (eager, channels-last and, with --compile, torch.compile) in each round.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

CASES = [  # name, ours, torchvision's, mode, batch, side, steps
    ("ResNet-50", "resnet50", "resnet50", "train", 8, 224, 8),
    ("ResNet-50", "resnet50", "resnet50", "infer", 8, 224, 12),
    ("VGG-16", "vgg16", "vgg16", "train", 8, 224, 5),
    ("VGG-16", "vgg16", "vgg16", "infer", 8, 224, 8),
    ("ResNet-50", "resnet50", "resnet50", "train", 32, 224, 4),
    ("VGG-16", "vgg16", "vgg16", "train", 32, 224, 4),
    ("CIFAR ResNet-18", "resnet18(small=true, classes=10)", "small_resnet18", "train", 128, 32, 6),
]
ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")


def measure(command: list) -> dict:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose model and mode contain this text")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    forms = ["eager", "channels_last"] + (["compile"] if options.compile else [])
    script = pathlib.Path(__file__).with_name("torch_networks.py")
    print("| network | mode, batch | Backlight | PyTorch's best | ratio of images/s | peak memory, MB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, ours_name, theirs_name, mode, batch, side, steps in CASES:
        if options.only not in f"{ours_name} {mode} {batch}":
            continue
        ours, theirs = [], []
        for _ in range(options.rounds):
            shape = [mode, batch, side, steps]
            ours.append(measure([options.build / "bench_networks", ours_name, *shape]))
            runs = [dict(measure([options.torch_python, script, theirs_name, *shape, form]), form=form) for form in forms]
            theirs.append(min(runs, key=lambda run: run["ms"]))
        speed = [t["ms"] / o["ms"] for o, t in zip(ours, theirs)]
        memory = [o["peak_mb"] / t["peak_mb"] for o, t in zip(ours, theirs)]
        median = lambda runs, key: statistics.median(run[key] for run in runs)
        print(f"| {name} | {mode}, {batch} | {median(ours, 'ms'):.0f} ms | {median(theirs, 'ms'):.0f} ms "
              f"({theirs[-1]['form']}) | {statistics.median(speed):.2f} ({min(speed):.2f} to {max(speed):.2f}) | "
              f"{median(ours, 'peak_mb'):.0f} / {median(theirs, 'peak_mb'):.0f} | {statistics.median(memory):.2f} |",
              flush=True)


main()
