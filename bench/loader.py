#!/usr/bin/env python3
"""The loader against torchvision's: the table of docs/performance.md, medians over rounds in which the peers take turns.

    bench/loader.py --build build/release --torch-python PATH --photos FOLDER... [--rounds 5] [--seconds 6] [--workers 1 2]

The folders are searched for JPEG files, which are repeated until the list is long enough for a run. torchvision's figure is
that of its best form (bench/torch_loader.py), found in a round before.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

FORMS = ["pil", "v2_pil", "v2_tensor", "v2_io"]
LENGTH = 6000
PIPELINES = {
    "train": "augment=resized_crop, flip=true, size=224",
    "test": "resize=256, size=224",
    "decode": "size=224",
}


def rate(command: list) -> float:
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])["images_per_second"]


def text(rates: list) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--photos", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    jpeg = sorted(path.resolve() for folder in options.photos for path in folder.rglob("*")
                  if path.suffix.lower() in (".jpg", ".jpeg") and path.read_bytes()[:2] == b"\xff\xd8")
    peer = pathlib.Path(__file__).with_name("torch_loader.py")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "photos"
        (folder / "all").mkdir(parents=True)
        for i in range(LENGTH):
            (folder / "all" / f"{i:05}.jpg").symlink_to(jpeg[i % len(jpeg)])
        ours = lambda mode, workers: rate([options.build / "bench_loader",
                                           f"folder:{folder}(test_share=0, {PIPELINES[mode]})", mode, workers,
                                           options.seconds])
        print(f"{len(jpeg)} photos")
        print("| pipeline | workers | Backlight, images/s | torchvision, images/s | ratio | decoding alone |")
        print("|---|---|---|---|---|---|")
        for mode in ("train", "test"):
            for workers in options.workers:
                peers = lambda form: rate([options.torch_python, peer, folder, mode, workers, options.seconds, form])
                best = max(FORMS, key=peers)
                mine, theirs, limit = [], [], []
                for _ in range(options.rounds):
                    mine.append(ours(mode, workers))
                    theirs.append(peers(best))
                    limit.append(ours("decode", workers))
                ratios = [a / b for a, b in zip(mine, theirs)]
                print(f"| {mode} | {workers} | {text(mine)} | {text(theirs)}, {best} | {statistics.median(ratios):.2f} "
                      f"({min(ratios):.2f} to {max(ratios):.2f}) | {text(limit)} |", flush=True)


main()
