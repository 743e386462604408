#!/usr/bin/env python3
"""From the start of the process to the first training step, beside the reading of the weights.

    bench/startup.py --build build/release [--rounds 5] [--model resnet50] [--model vgg16] [--scratch DIR]

`backlight train --model M --weights W` writes config.toml into its run folder when all is ready and the first step begins;
its time of writing, less the time at which the process was started, is what counts. The file is read once beside it, into
memory that is already there: with its pages in the cache (warm), and after they were dropped (cold, where the kernel lets a
user do so). --scratch should lie on a disk.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

DATA = "zoom32(n=16, n_test=4)"


def train(program: pathlib.Path, model: str, run: pathlib.Path, *more) -> float:
    """Seconds until the first step begins."""
    start = time.time()
    done = subprocess.run([str(part) for part in (program, "train", "--model", model, "--data", DATA, "--run", run,
                                                  "--batch-size", 8, "--max-steps", 1, "--overwrite", *more)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return (run / "config.toml").stat().st_mtime - start


def drop_pages(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path: pathlib.Path, buffer: memoryview) -> float:
    start = time.time()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", action="append")
    parser.add_argument("--scratch")
    options = parser.parse_args()
    program, buffer = options.build / "backlight", memoryview(bytearray(1 << 24))
    print("| model | weights, MB | pages | to the first step, s | reading alone, s | difference, s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.scratch) as temporary:
        folder = pathlib.Path(temporary)
        for model in options.model or ["resnet50", "vgg16"]:
            train(program, model, folder / "first")
            weights = folder / "first" / "weights.safetensors"
            for pages in ("warm", "cold"):
                whole, alone = [], []
                for _ in range(options.rounds):
                    for measured, run in ((alone, lambda: read(weights, buffer)),
                                          (whole, lambda: train(program, model, folder / "run", "--weights", weights))):
                        if pages == "cold":
                            drop_pages(weights)
                        measured.append(run())
                more = [w - a for w, a in zip(whole, alone)]
                print(f"| {model} | {weights.stat().st_size / 1e6:.0f} | {pages} | {statistics.median(whole):.2f} | "
                      f"{statistics.median(alone):.2f} | {statistics.median(more):.2f} ({min(more):.2f} to "
                      f"{max(more):.2f}) |", flush=True)


main()
