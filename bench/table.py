#!/usr/bin/env python3
"""Prints the table of docs/performance.md: ratios of pairs that were measured in turn, medians over the rounds.

    bench/table.py --build build/release --torch-python PATH [--rounds 7]

`--torch-python` names an interpreter with torch; without it the comparison with PyTorch is left out. Run it on a
machine with nothing else to do: a ratio survives a slow machine, not one whose speed changes between the two halves.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ENVIRONMENT = dict(os.environ, OMP_WAIT_POLICY="passive")


def benchmark(program: pathlib.Path, pattern: str, seconds: float = 0.5) -> dict:
    """Google Benchmark's entries by name."""
    out = subprocess.run([program, f"--benchmark_filter={pattern}", f"--benchmark_min_time={seconds}",
                          "--benchmark_format=json"], capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
    return {entry["name"]: entry for entry in json.loads(out)["benchmarks"]}


def spread(values: list) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def row(what: str, ours: str, other: str, ratio: str, bar: str) -> None:
    print(f"| {what} | {ours} | {other} | {ratio} | {bar} |", flush=True)


def toy_step(build: pathlib.Path, python: str, rounds: int) -> None:
    ours, torch = [], []
    script = pathlib.Path(__file__).with_name("torch_step.py")
    for _ in range(rounds):
        ours.append(benchmark(build / "bench_training_step", "toy1/1$")["train_step/toy1/1"]["real_time"])
        torch.append(float(subprocess.run([python, script, "1000"], capture_output=True, text=True, check=True,
                                          env=dict(ENVIRONMENT, OMP_NUM_THREADS="1")).stdout))
    row("training step 5-64-32-16-2, batch 32, 1 thread, against PyTorch", spread(ours) + " µs", spread(torch) + " µs",
        spread([t / o for o, t in zip(ours, torch)]) + " x faster", "at least 10")


def convolutions(build: pathlib.Path, rounds: int) -> None:
    """Forward and backward of a layer against the raw oneDNN primitives, in turn within one process."""
    samples: dict = {}
    for _ in range(rounds):
        for name, entry in benchmark(build / "bench_onednn_layers", "layer/", 0.2).items():
            samples.setdefault(name.split("/")[1], []).append(entry)
    for name, entries in samples.items():
        rate = statistics.median(e["GFLOP/s"] for e in entries)
        row(f"convolution {name}, forward + backward, against raw oneDNN",
            spread([e["backlight_ms"] for e in entries]) + f" ms, {rate:.0f} GFLOP/s",
            spread([e["raw_ms"] for e in entries]) + " ms", spread([e["ratio"] for e in entries]), "at most 1.05")


def bandwidth(build: pathlib.Path, rounds: int) -> None:
    """Elementwise kernels on a large tensor against a threaded copy of as many bytes, in turn within one process."""
    samples: dict = {}
    for _ in range(rounds):
        for name, entry in benchmark(build / "bench_kernels", "elementwise/(relu|add|exp|divide_row|affine_relu)/25088Ki", 0.2).items():
            samples.setdefault(name.split("/")[1], []).append(entry)
    for name, entries in samples.items():
        row(f"{name} on 98 MiB, against a copy", spread([e["GB/s"] for e in entries]) + " GB/s",
            spread([e["copy_GB/s"] for e in entries]) + " GB/s", spread([e["of_copy"] for e in entries]), "at least 0.8")


def explain_start(build: pathlib.Path, rounds: int) -> None:
    """Wall time of one whole `backlight explain` of one small picture."""
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        subprocess.run([build / "backlight", "train", "--model", "cnn_small(in=1)", "--data", "digits", "--epochs", "1",
                        "--run", base / "run"], capture_output=True, check=True, env=ENVIRONMENT)
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8, 8, 1), }".ljust(117) + "\n"
        (base / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(256))
        seconds = []
        for _ in range(max(rounds, 5)):
            start = time.perf_counter()
            subprocess.run([build / "backlight", "explain", "--model", "cnn_small(in=1)", "--weights",
                            base / "run/weights.safetensors", "--input", base / "x.npy", "--method", "lrp", "--out",
                            base / "r.npy"], capture_output=True, check=True, env=ENVIRONMENT)
            seconds.append(time.perf_counter() - start)
    row("`backlight explain` of one picture, whole process", spread(seconds) + " s", "", "", "under 0.2 s")
    row("size of `backlight`", f"{(build / 'backlight').stat().st_size / 1e6:.1f} MB", "", "", "under 30 MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print("| what | Backlight, median (range) | other | ratio | bar |\n|---|---|---|---|---|")
    if arguments.torch_python:
        toy_step(arguments.build, arguments.torch_python, arguments.rounds)
    convolutions(arguments.build, arguments.rounds)
    bandwidth(arguments.build, arguments.rounds)
    explain_start(arguments.build, arguments.rounds)


main()
