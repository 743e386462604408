#!/usr/bin/env python3
"""Explanations against Zennit and Captum: the table of docs/performance.md, medians over rounds in which the peers take
turns.

    bench/explanations.py --build build/release --torch-python PATH [--rounds 3] [--only "resnet50 epsilon_plus"]

ResNet-50 and VGG-16 at 224 x 224, batch 8, f32, 2 threads, forward pass included. Every run is a process of its own, so
that its peak of resident memory (VmHWM) is that of the explanation. The best of each peer's forms (with and without
channels-last) counts.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

METHODS = [  # ours, peers, bar
    ("gradient", ("zennit", "captum"), "-"),
    ("guided_backprop", ("zennit", "captum"), 1.2),
    ("deconvnet", ("zennit", "captum"), 1.2),
    ("epsilon", ("zennit",), 2.0),
    ("epsilon_plus", ("zennit",), 2.2),
    ("epsilon_alpha2_beta1", ("zennit",), 2.7),
    ("epsilon_gamma_box", ("zennit",), 3.0),
]
ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")


def measure(command: list) -> dict:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    script = pathlib.Path(__file__).with_name("torch_explanations.py")
    print("| network, method | Backlight, ms | of our gradient | best peer, ms | times faster (bar) | peak memory, MB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for model in ("resnet50", "vgg16"):
        gradient = None
        for method, peers, bar in METHODS:
            if not set(options.only.split()) <= {model, method} and method != "gradient":
                continue
            if options.only and model not in options.only and not set(options.only.split()) <= {method}:
                continue
            shape = [options.batch, 224, options.steps]
            ours, theirs = [], {}
            for _ in range(options.rounds):
                ours.append(measure([options.build / "bench_explanations", model, method, *shape]))
                for form in [peer + suffix for peer in peers for suffix in ("", "_channels_last")]:
                    theirs.setdefault(form, []).append(
                        measure([options.torch_python, script, model, method, *shape, form]))
            median = lambda runs, key: statistics.median(run[key] for run in runs)
            best = min(theirs, key=lambda form: median(theirs[form], "ms"))
            leanest = min(theirs.values(), key=lambda runs: median(runs, "peak_mb"))
            gradient = gradient or median(ours, "ms")
            ratios = sorted(t["ms"] / o["ms"] for o, t in zip(ours, theirs[best]))
            print(f"| {model}, {method} | {median(ours, 'ms'):.0f} | {median(ours, 'ms') / gradient:.2f} | "
                  f"{median(theirs[best], 'ms'):.0f}, {best} | {statistics.median(ratios):.2f} "
                  f"({ratios[0]:.2f} to {ratios[-1]:.2f}; {bar}) | {median(ours, 'peak_mb'):.0f} / "
                  f"{median(leanest, 'peak_mb'):.0f} | {median(ours, 'peak_mb') / median(leanest, 'peak_mb'):.2f} |",
                  flush=True)


main()
