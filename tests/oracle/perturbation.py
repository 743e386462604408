#!/usr/bin/env python3
"""Perturbation methods of the command line against Captum, scikit-image and the published formulas. Not part of the
test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy safetensors torch torchvision zennit captum scikit-image
    /tmp/oracle/bin/python tests/oracle/perturbation.py build/release/backlight

Run with torch 2.15, captum 0.9, scikit-image 0.26. Networks, weights and errors are those of contract.py: max
|ours - theirs| / max |theirs|, in f64. Captum: Occlusion, FeatureAblation, LayerFeatureAblation, ShapleyValues (all
permutations). LIME and RISE draw at random: both sides take many samples, and the limits are those of sampling.
Superpixels are compared by number and by how much of the colour they explain. Captum rounds the results of Occlusion
and ShapleyValues to f32. Exits with 1 when an error exceeds its limit.
"""
import argparse
import pathlib
import sys
import tempfile

import numpy as np
import torch
from captum.attr import FeatureAblation, LayerFeatureAblation, Occlusion, ShapleyValues
from contract import SUBJECTS, Program, relative
from safetensors.torch import save_file
from skimage import color, data, segmentation, transform

LIMIT, ROUNDED, SUMMED = 1e-9, 1e-6, 1e-5  # f64; rounded to f32; summed in f32


class Table:
    def __init__(self):
        self.bad = 0

    def add(self, subject, item, error, limit):
        self.bad += not error <= limit
        print(f"{'ok ' if error <= limit else 'BAD'} {subject:42s} {item:48s} {error:9.2e}", flush=True)


def images(t):
    """The first channel of NCHW maps whose channels are equal, as (N,H,W,1)."""
    return t[:, :1].permute(0, 2, 3, 1)


def explain(program, method, precision="f64"):
    return program.array("explain", "--method", method, "--target", "1", "--precision", precision, *program.common)


def compare_captum(program, table, subject):
    net, x, spec = subject.net, subject.x, subject.spec
    is_picture = x.ndim == 4
    fit = images if is_picture else lambda t: t
    windows = [(1, 1), (2, 1), (3, 2), (4, 4)] if is_picture else [(1, 1), (2, 1)]
    for window, stride in windows:
        size = (x.shape[1], window, window) if is_picture else (window,)
        step = (x.shape[1], stride, stride) if is_picture else (stride,)
        if window > min(x.shape[1:]) and not is_picture:
            continue
        theirs = Occlusion(net).attribute(x, size, strides=step, target=1)
        table.add(spec, f"occlusion, window {window}, stride {stride}",
                  relative(explain(program, f"occlusion(window={window}, stride={stride})"), fit(theirs)), ROUNDED)
    theirs = FeatureAblation(net).attribute(x, target=1)
    table.add(spec, "ablation, every value",
              relative(explain(program, "ablation"), theirs.permute(0, 2, 3, 1) if is_picture else theirs), LIMIT)
    if is_picture:
        h, w = x.shape[2:]
        ids = (np.arange(h)[:, None] * 2 // h) * 3 + np.arange(w)[None, :] * 3 // w
        mask = torch.from_numpy(ids)[None, None]
    else:
        ids = np.minimum(np.arange(x.shape[1]), 3)
        mask = torch.from_numpy(ids)[None]
    masks = program.folder / "masks.npy"
    np.save(masks, ids.astype(np.int32))
    theirs = FeatureAblation(net).attribute(x, target=1, feature_mask=mask)
    table.add(spec, "ablation, regions", relative(explain(program, f"ablation(masks={masks})"), fit(theirs)), LIMIT)
    theirs = ShapleyValues(net).attribute(x, target=1, feature_mask=mask)
    table.add(spec, "kernel_shap, all coalitions",
              relative(explain(program, f"kernel_shap(masks={masks}, fill=zero, share=false)"), fit(theirs)), SUMMED)
    for layer in subject.layers[:3]:
        if ":in" in layer:
            continue
        theirs = LayerFeatureAblation(net, net.get_submodule(layer)).attribute(x[:1], target=1)
        ours = explain(program, f"ablation(layer={layer}, limit=100000)")[:1]
        theirs = theirs.permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        table.add(spec, f"ablation at layer {layer}", relative(ours, theirs), LIMIT)
        with torch.no_grad():
            whole = -torch.log_softmax(net(x), 1)[:, 1]
            shares = []
            for d in range(theirs.shape[-1]):
                def clear(module, inputs, output, d=d):
                    output = output.clone()
                    output[:, d] = 0
                    return output
                hook = net.get_submodule(layer).register_forward_hook(clear)
                shares.append((whole + torch.log_softmax(net(x), 1)[:, 1]) / whole)
                hook.remove()
        ours = explain(program, f"representation_erasure(layer={layer})")
        table.add(spec, f"representation_erasure at layer {layer}",
                  relative(ours.reshape(len(ours), -1), torch.stack(shares, 1)), LIMIT)


def scores_of(net, x, masks):
    """f of x (C,H,W) under masks (n,H,W), in chunks."""
    with torch.no_grad():
        return torch.cat([net(x[None] * m[:, None]) for m in masks.split(1000)])


def compare_drawn(program, table, subject):
    net, x, spec = subject.net, subject.x[:1], subject.spec
    h, w = x.shape[2:]
    n, rng = 20_000, np.random.default_rng(0)
    np.save(program.folder / "x.npy", subject.file()[:1])

    cells = 4  # as the authors' code draws and enlarges masks
    cell = np.array([int(np.ceil(h / cells)), int(np.ceil(w / cells))])
    masks = np.empty((n, h, w))
    for i in range(n):
        grid = (rng.random((cells, cells)) < 0.5).astype(float)
        top, left = rng.integers(0, cell[0]), rng.integers(0, cell[1])
        large = transform.resize(grid, (cells + 1) * cell, order=1, mode="reflect", anti_aliasing=False)
        masks[i] = large[top:top + h, left:left + w]
    masks = torch.from_numpy(masks)
    p = torch.softmax(scores_of(net, x[0], masks), 1)[:, 1]
    theirs = (p[:, None, None] * masks).sum(0) / n / 0.5
    ours = explain(program, f"rise(n={n}, s={cells})", "f32")[..., 0]
    table.add(spec, "rise, 20000 masks on both sides", relative(ours, theirs[None]), 0.03)

    ids = (np.arange(h)[:, None] * 3 // h) * 3 + np.arange(w)[None, :] * 3 // w
    z = (rng.random((n, 9)) < 0.5).astype(float)
    z[0] = 1
    f = scores_of(net, x[0], torch.from_numpy(z[:, ids]))[:, 1].numpy()
    weight = np.exp(-(1 - np.sqrt(z.mean(1))) ** 2 / (2 * 0.25 ** 2))
    zc, fc = z - np.average(z, 0, weight), f - np.average(f, weights=weight)
    b = np.linalg.solve((zc * weight[:, None]).T @ zc + np.eye(9), (zc * weight[:, None]).T @ fc)
    ours = explain(program, f"lime(n={n}, segments=grid, n_segments=9, fill=zero)", "f32")[..., 0]
    table.add(spec, "lime, 20000 samples on both sides", relative(ours, torch.from_numpy(b[ids])[None]), 0.05)


def explained(ids, lab):
    """Share of the variance of the colour that segments' means explain."""
    flat, ids = lab.reshape(-1, 3), ids.reshape(-1)
    means = np.stack([np.bincount(ids, flat[:, c]) / np.bincount(ids) for c in range(3)], 1)
    return 1 - ((flat - means[ids]) ** 2).sum() / ((flat - flat.mean(0)) ** 2).sum()


def compare_superpixels(program, table, subject):
    for name, picture in [("astronaut", data.astronaut()), ("coffee", data.coffee()), ("cat", data.chelsea())]:
        small = transform.resize(picture, (96, 120), anti_aliasing=True)
        np.save(program.folder / "x.npy", small[None].astype(np.float32))
        small = small.astype(np.float32).astype(np.float64)
        lab = color.rgb2lab(small)
        for count in (50, 200):
            # Segments have different coefficients, which name them.
            map_ = explain(program, f"lime(n={4 * count}, n_segments={count})", "f32")[0, :, :, 0]
            ours = np.unique(map_, return_inverse=True)[1].reshape(map_.shape)
            theirs = segmentation.slic(small, n_segments=count, compactness=10, start_label=0)
            number = (ours.max() + 1, theirs.max() + 1)
            fit = (explained(ours, lab), explained(theirs, lab))
            print(f"    {name}, {count} segments: ours {number[0]}, theirs {number[1]}; colour explained: ours {fit[0]:.4f}, "
                  f"theirs {fit[1]:.4f}")
            table.add("slic", f"{name}, {count} segments: number", abs(number[0] / number[1] - 1), 0.5)
            table.add("slic", f"{name}, {count} segments: colour explained", max(0.0, fit[1] - fit[0]), 0.03)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    binary = pathlib.Path(parser.parse_args().binary).resolve()
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        program = Program(binary, pathlib.Path(folder))
        for subject in SUBJECTS:
            weights, x = program.folder / "w.safetensors", program.folder / "x.npy"
            save_file({k: v.float() if v.is_floating_point() else v for k, v in subject.net.state_dict().items()}, weights)
            np.save(x, subject.file())
            program.common = ["--model", subject.spec, "--weights", weights, "--input", x]
            compare_captum(program, table, subject)
            if subject.spec == "cnn_small(in=1)":
                compare_drawn(program, table, subject)
            if subject.spec == "cnn_small(in=3)":
                compare_superpixels(program, table, subject)
    return 1 if table.bad else 0


if __name__ == "__main__":
    sys.exit(main())
