#!/usr/bin/env python3
"""What explanations in the loop cost: steps of training with each system over plain steps, and against the same steps in
PyTorch. The table of docs/performance.md.

    bench/augmentations.py --build build/release [--torch-python PATH] [--rounds 3] [--only "rrr edda"] [--model resnet50]
    bench/augmentations.py --build build/release --classes [--rounds 3]

`backlight train` on a folder of 224-pixel pictures, as a user would call it; a step is batch / (images per second) of the
second epoch, so that the first steps do not count. PyTorch's steps are those of torch_augmentations.py, eager and
channels-last, the faster counts. Medians over rounds in which all take turns; peak is the process's largest resident size.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib

SYSTEMS = [  # row, text of --augment, PyTorch's step, bar over the plain step, bar against PyTorch
    ("plain", "", "plain", None, None),
    ("rrr, input gradients", "rrr(lambda=0.01, masks=all)", "rrr", 3.2, 1.3),
    ("rrr, LRP-epsilon-z+", "rrr(lambda=0.01, masks=all, explainer=epsilon_plus)", "", 4.5, None),
    ("penalty, l1 of the gradient", "penalty(lambda=0.01)", "", None, None),
    ("input_gradient", "input_gradient(lambda=0.01)", "", None, None),
    ("class_factors", "class_factors(control=balanced)", "", None, None),
    ("edda, Grad-CAM", "edda(explainer=grad_cam)", "edda", 2.2, 1.3),
    ("edda, saliency", "edda(explainer=saliency)", "", None, None),
    ("cutout", "cutout", "", None, None),
    ("cutmix", "cutmix(p=1)", "", None, None),
    ("mixup", "mixup", "", None, None),
    ("attention, last block", "attention(layer=layer4)", "", None, None),
    ("explanation_dropout, last block", "explanation_dropout(layer=layer4)", "", None, None),
    ("excitation_dropout, last block", "excitation_dropout(layer=layer4)", "", None, None),
    ("random_dropout, last block", "random_dropout(layer=layer4)", "", None, None),
    ("weight_lrp", "weight_lrp", "", 2.5, None),
    ("gradient_mask, block 3", "gradient_mask(layer=layer3)", "", None, None),
]
# Systems that explain once an epoch: maps of 20 samples for each of 8 classes against an epoch of 10,000 samples.
MAPS, SAMPLES, MEASURE_BATCH, MEASURE_SIDE = 160, 10_000, 16, 112
MEASURES = [("gradient", 2.0), ("epsilon_plus", 2.0), ("epsilon_gamma_box", 2.0)]
ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS="2")
CLASSES = 10


def write_png(path: pathlib.Path, side: int, seed: int) -> None:
    """Smooth colours with noise, so that decoding takes what a photograph's takes."""
    draw = random.Random(seed)
    base = [draw.randrange(40, 200) for _ in range(3)]
    rows = b"".join(b"\0" + bytes((base[i % 3] + (i // 3 + y) // 8 + draw.randrange(16)) % 256 for i in range(3 * side))
                    for y in range(side))
    chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data +
                                struct.pack(">I", zlib.crc32(kind + data)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def ours(options, data: pathlib.Path, system: str, folder: pathlib.Path) -> dict:
    run = folder / "run"
    command = [options.build / "backlight", "train", "--model", options.model, "--data",
               f"folder:{data}(size=224)", "--run", run, "--overwrite", "--epochs", 2, "--batch-size", options.batch,
               "--lr", 1e-4] + (["--augment", system] if system else [])
    process = subprocess.Popen([str(part) for part in command], env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{system}: {error.strip().splitlines()[-1] if error.strip() else 'failed'}")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {"ms": 1e3 * options.batch / lines[-1]["images_per_second"], "peak_mb": usage.ru_maxrss / 1e3}


def theirs(options, step: str, form: str) -> dict:
    script = pathlib.Path(__file__).with_name("torch_augmentations.py")
    done = subprocess.run([options.torch_python, script, options.model, step, str(options.batch), str(options.steps),
                           form], capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode != 0:
        raise SystemExit(f"torch_augmentations {step}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def milliseconds(options, binary: str, *arguments) -> float:
    """What a benchmark prints, by one thread."""
    done = subprocess.run([str(options.build / binary), *map(str, arguments)], capture_output=True, text=True,
                          env=dict(ENVIRONMENT, OMP_NUM_THREADS="1"))
    if done.returncode != 0:
        raise SystemExit(f"{binary}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])["ms"]


def measure_classes(options) -> None:
    """imbalance and class_factors: what the explanations of a mini-epoch take of it, by one thread."""
    print(f"| network, {MEASURE_SIDE} pixels, batch {MEASURE_BATCH} | maps | a batch of maps, ms | a step, ms | "
          f"{MAPS} maps of {SAMPLES} samples (bar) |")
    print("|---|---|---|---|---|")
    for model in ("vgg16_bn", "resnet50"):
        rounds = {method: [] for method, _ in MEASURES}
        for _ in range(options.rounds):
            step = milliseconds(options, "bench_networks", model, "train", MEASURE_BATCH, MEASURE_SIDE, options.steps)
            for method, _ in MEASURES:
                maps = milliseconds(options, "bench_explanations", model, method, MEASURE_BATCH, MEASURE_SIDE,
                                    options.steps)
                rounds[method].append((maps, step, 100 * maps * MAPS / (step * SAMPLES)))
                print(model, method, f"{maps:.0f} ms of {step:.0f}", file=sys.stderr, flush=True)
        for method, bar in MEASURES:
            maps, step, share = (statistics.median(r[i] for r in rounds[method]) for i in range(3))
            print(f"| {model} | {method} | {maps:.0f} | {step:.0f} | {share:.2f} % ({bar:g} %) |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="in an epoch")
    parser.add_argument("--only", default="", help="words of rows; the plain step is always there")
    parser.add_argument("--classes", action="store_true", help="the systems that explain once an epoch instead")
    options = parser.parse_args()
    if options.classes:
        return measure_classes(options)
    words = options.only.split()
    rows = [row for row in SYSTEMS if row[0] == "plain" or not words or any(w in row[0] for w in words)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        for i in range(options.batch * options.steps):
            write_png(data / "train" / str(i % CLASSES) / f"{i}.png", 224, i)
        for i in range(CLASSES):
            write_png(data / "test" / str(i) / "0.png", 224, 1000 + i)
        runs = {row[0]: [] for row in rows}
        peers = {}
        for _ in range(options.rounds):
            for row, system, step, _, _ in rows:
                runs[row].append(ours(options, data, system, folder))
                print(row, f"{runs[row][-1]['ms']:.0f} ms", file=sys.stderr, flush=True)
                for form in ("eager", "channels_last") if options.torch_python and step else ():
                    peers.setdefault((row, form), []).append(theirs(options, step, form))
                    print("  ", form, f"{peers[row, form][-1]['ms']:.0f} ms", file=sys.stderr, flush=True)
    middle = lambda values, key: statistics.median(v[key] for v in values)
    print(f"| {options.model}, batch {options.batch} | step, ms | of the plain step (bar) | PyTorch's step, ms | "
          "times faster (bar) | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    for row, _, _, bar, against in rows:
        mine = middle(runs[row], "ms")
        ratio = statistics.median(r["ms"] / p["ms"] for r, p in zip(runs[row], runs["plain"]))
        forms = [form for form in ("eager", "channels_last") if (row, form) in peers]
        peer = ["", ""]
        memory = f"{middle(runs[row], 'peak_mb'):.0f}"
        if forms:
            best = min(forms, key=lambda form: middle(peers[row, form], "ms"))
            faster = statistics.median(t["ms"] / o["ms"] for t, o in zip(peers[row, best], runs[row]))
            peer = [f"{middle(peers[row, best], 'ms'):.0f}, {best}", f"{faster:.2f}" + (f" ({against})" if against else "")]
            memory += f" / {middle(peers[row, best], 'peak_mb'):.0f}"
        print(f"| {row} | {mine:.0f} | {ratio:.2f}" + (f" ({bar})" if bar else "") + f" | {peer[0]} | {peer[1]} | {memory} |")


main()
