#!/usr/bin/env python3
"""Toy experiment 1 in PyTorch, with data and weights of its own: are the magnitudes of `backlight reproduce toy1` those of the
method, or of this program? Not part of the test run.

    tests/oracle/toy1.py [--seeds 40]

All seeds train at once, as one batch of networks. Prints mean and deviation of the last losses over the seeds, and the
error of the mean of ten of them.
"""
import argparse

import numpy as np
import torch

SIZES = (5, 64, 32, 16, 2)


def clusters(random: np.random.Generator):
    corners = np.array([(a, b) for a in (-1, 1) for b in (-1, 1)], float)
    return random.permutation(corners), random.uniform(-1, 1, (4, 2, 2))


def draw(random, centres, spread, each):
    x, y = [], []
    for k in range(4):
        informative = random.normal(size=(each, 2)) @ spread[k] + centres[k]
        x.append(np.concatenate([informative, random.normal(size=(each, 3))], 1))
        y.append(np.full(each, k % 2))
    return np.concatenate(x), np.concatenate(y)


def data_of(seed):
    random = np.random.default_rng(seed)
    centres, spread = clusters(random)
    x, y = draw(random, centres, spread, 100)
    replaced = random.random(400) < 0.1
    y[replaced] = random.integers(0, 2, replaced.sum())
    order = random.permutation(400)
    return x[order], y[order], *draw(random, centres, spread, 500)


def forward(parameters, x, mask=None):
    values = [x]
    for i, (w, b) in enumerate(parameters):
        z = torch.baddbmm(b, values[-1], w)
        if i < 3:
            z = torch.relu(z)
        if i == 0 and mask is not None:
            z = z * mask
        values.append(z)
    return values


def relevance_of_first(parameters, values, y):
    """LRP-epsilon from one at the true class to the output of the first layer."""
    r = torch.nn.functional.one_hot(y, 2).float()
    for i in (3, 2, 1):
        w, b = parameters[i]
        z = torch.baddbmm(b, values[i], w)
        s = r / (z + torch.where(z >= 0, 1e-6, -1e-6))
        r = values[i] * torch.bmm(s, w.transpose(1, 2))
    return r


def loss_of(logits, y):
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)


def train(data, arm, seeds, epochs=500):
    generator = torch.Generator().manual_seed(1)
    uniform = lambda *shape: torch.rand(shape, generator=generator)
    x, y, fresh_x, fresh_y = (torch.tensor(np.stack(part)) for part in zip(*data))
    x, fresh_x = x.float(), fresh_x.float()
    parameters = [tuple((2 * uniform(seeds, *shape) - 1) / fan_in**0.5 for shape in ((fan_in, out), (1, out)))
                  for fan_in, out in zip(SIZES, SIZES[1:])]
    flat = [p.requires_grad_() for pair in parameters for p in pair]
    optimizer = torch.optim.SGD(flat, lr=0.01, momentum=0.9)
    for _ in range(epochs):
        order = torch.argsort(uniform(seeds, 350), dim=1)
        for first in range(0, 350, 32):
            index = order[:, first:first + 32]
            bx = torch.gather(x, 1, index[..., None].expand(-1, -1, 5))
            by = torch.gather(y, 1, index)
            mask = None
            if arm == "attention":
                with torch.no_grad():
                    r = relevance_of_first(parameters, forward(parameters, bx), by)
                    largest = r.abs().amax(2, keepdim=True)
                    mask = 1 + torch.where(largest > 0, r / largest, torch.zeros(())) / 2
            elif arm == "random mask":
                mask = 0.5 + uniform(seeds, index.shape[1], SIZES[1])
            optimizer.zero_grad()
            loss_of(forward(parameters, bx, mask)[-1], by).sum().backward()
            optimizer.step()
    with torch.no_grad():
        losses = [loss_of(forward(parameters, px)[-1], py) for px, py in ((x[:, :350], y[:, :350]), (x[:, 350:], y[:, 350:]))]
        fresh = (forward(parameters, fresh_x)[-1].argmax(2) == fresh_y).float().mean(1)
    return *losses, fresh


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    seeds = parser.parse_args().seeds
    data = [data_of(seed) for seed in range(seeds)]
    for arm in ("baseline", "attention", "random mask"):
        text = []
        for name, values in zip(("train loss", "test loss", "fresh accuracy"), train(data, arm, seeds)):
            deviation = values.std().item()
            text.append(f"{name} {values.mean():.3f} +- {deviation:.3f} (mean of ten: +- {deviation / 10**0.5:.2f})")
        print(f"{arm:12} {'; '.join(text)}", flush=True)


main()
