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


def pairs(build: pathlib.Path, rounds: int) -> None:
    """bench_kernels names a pair NAME/backlight and NAME/raw (oneDNN or a plain copy)."""
    samples: dict = {}
    for _ in range(rounds):
        for name, entry in benchmark(build / "bench_kernels", "(backlight|raw)", 0.2).items():
            base, _, rest = name.partition("/backlight") if "/backlight" in name else name.partition("/raw")
            side = "backlight" if "/backlight" in name else "raw"
            samples.setdefault(base + rest, {}).setdefault(side, []).append(entry["real_time"])
            samples[base + rest]["unit"] = entry["time_unit"]
    for name, sides in samples.items():
        if "backlight" in sides and "raw" in sides:
            ratios = [ours / raw for ours, raw in zip(sides["backlight"], sides["raw"])]
            row(name, f"{spread(sides['backlight'])} {sides['unit']}", f"{spread(sides['raw'])} {sides['unit']}",
                spread(ratios), "see text")


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
    pairs(arguments.build, arguments.rounds)
    explain_start(arguments.build, arguments.rounds)


main()
