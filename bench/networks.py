#!/usr/bin/env python3
"""Whole networks against PyTorch: the table of docs/performance.md, medians over rounds in which the peers take turns.

    bench/networks.py --build build/release --torch-python PATH [--rounds 3] [--only "resnet50 train f32 8"] [--bf16]
                      [--no-compile] [--limit 600] [--steps N]

Every run is a process of its own, so that its peak of resident memory (VmHWM) is that of the step. A round runs ours and
each form of PyTorch's once; PyTorch's best is the form with the lowest median over the rounds, and a ratio is taken within
a round. A form that fails or takes over --limit seconds is listed below the table and not tried again for that row. A row
can be chosen by the words of --only: model, mode, precision, batch.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

NETWORKS = [  # name, ours, torchvision's, side, batches, steps of training, steps of inference
    ("ResNet-50", "resnet50", "resnet50", 224, (8, 32), 8, 12),
    ("VGG-16", "vgg16", "vgg16", 224, (8, 32), 5, 8),
    ("CIFAR ResNet-18", "resnet18(small=true, classes=10)", "small_resnet18", 32, (128,), 6, 12),
]
ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")


class Failed(Exception):
    pass


def measure(command: list, limit: float) -> dict:
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=ENVIRONMENT,
                              timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"over {limit:g} s") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1][:160])
    return json.loads(done.stdout.splitlines()[-1])


def rows(options: argparse.Namespace):
    for mode in ("train", "infer"):
        for precision in ("f32", "bf16") if options.bf16 else ("f32",):
            for name, ours, theirs, side, batches, training, inference in NETWORKS:
                for batch in batches:
                    steps = training if mode == "train" else inference
                    steps = options.steps or (steps if batch != 32 else max(steps // 2, 4))
                    words = {ours.split("(")[0], mode, precision, str(batch)}
                    if set(options.only.split()) <= words:
                        yield name, ours, theirs, mode, precision, batch, side, steps


def forms_of(mode: str, compiled: bool) -> list:
    forms = ["eager", "channels_last"]
    if compiled:
        forms += ["compile", "compile_channels_last"]
    return forms + (["frozen", "frozen_channels_last"] if mode == "infer" else [])


def spread(values: list, digits: int) -> str:
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--limit", type=float, default=600, help="seconds a run may take")
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    script = pathlib.Path(__file__).with_name("torch_networks.py")
    notes = []
    print("| network | mode, batch | Backlight, ms | PyTorch's best, ms | images/s, ratio | peak memory, MB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, ours_name, theirs_name, mode, precision, batch, side, steps in rows(options):
        shape, row = [mode, batch, side, steps, precision], f"{name}, {mode} {precision}, {batch}"
        forms, ours, theirs = forms_of(mode, not options.no_compile), [], {}
        try:
            for _ in range(options.rounds):
                ours.append(measure([options.build / "bench_networks", ours_name, *shape], options.limit))
                for form in list(forms):
                    try:
                        run = measure([options.torch_python, script, theirs_name, *shape, form], options.limit)
                        theirs.setdefault(form, []).append(run)
                    except Failed as failure:
                        forms.remove(form)
                        theirs.pop(form, None)
                        notes.append(f"{row}: PyTorch's {form} is left out: {failure}")
        except Failed as failure:
            notes.append(f"{row}: bench_networks: {failure}")
            continue
        if not theirs:
            continue
        column = lambda runs, key: [run[key] for run in runs]
        best = min(theirs, key=lambda form: statistics.median(column(theirs[form], "ms")))
        peer = theirs[best]
        speed = [t / o for o, t in zip(column(ours, "ms"), column(peer, "ms"))]
        memory = [o / t for o, t in zip(column(ours, "peak_mb"), column(peer, "peak_mb"))]
        middle = lambda runs, key: f"{statistics.median(column(runs, key)):.0f}"
        print(f"| {name}, {precision} | {mode}, {batch} | {spread(column(ours, 'ms'), 0)} | "
              f"{spread(column(peer, 'ms'), 0)}, {best} | {spread(speed, 2)} | "
              f"{middle(ours, 'peak_mb')} / {middle(peer, 'peak_mb')} | {statistics.median(memory):.2f} |", flush=True)
        others = [f"{form} {middle(runs, 'ms')} ms, {middle(runs, 'peak_mb')} MB" for form, runs in theirs.items()]
        notes.append(f"{row}: {'; '.join(others)}")
        print(notes[-1], file=sys.stderr, flush=True)
    print("\n" + "\n".join(f"- {note}" for note in notes))


main()
