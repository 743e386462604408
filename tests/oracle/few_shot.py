#!/usr/bin/env python3
"""Explanation-guided few-shot training in PyTorch, with pictures, weights and episodes of its own: are the accuracies of
`backlight reproduce few_shot` those of the method, or of this program? Not part of the test run.

    tests/oracle/few_shot.py [--seeds 10] [--arms base twice lrp permuted] [--set rectified=1 --set split=3 ...]

--set changes one reading of the experiment. split: which permutation of the 18 classes makes 12 base and 6 novel ones;
-1: that of the program, -2: another one each seed. Prints mean and deviation over the seeds of accuracy on base classes, on
novel ones and on novel ones in another domain.
"""
import argparse
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

WAYS, FEATURES, GUIDED_FROM, TESTS = 5, 24, 100, 100
# figure * 3 + fill: square, disk, plus, triangle, hollow, diamond; plain, row stripes, column stripes
OF_PROGRAM = (7, 13, 11, 6, 10, 1, 9, 2, 14, 3, 0, 17, 4, 8, 5, 15, 16, 12)


@dataclass
class Reading:
    rectified: int = 0  # ReLU in the embedding too
    pool: str = "max"
    init: str = "pytorch"  # or he
    last: float = 1.0  # scale of the last layer's first weights, with init=he
    loss: str = "cross_entropy"  # or squared
    split: int = -1
    noise: float = 0.1
    clipped: int = 1  # pixels to [0, 1]
    centred: int = 0  # pixels minus 0.5
    stripe: int = 1  # width
    tinted: int = 1  # in the other domain
    queries: int = 8
    episodes: int = 500
    rate: float = 0.002
    clip_norm: float = 10.0  # 0: none
    offset: float = 0.0  # of the log-odds


def figure(kind, size):
    row, column = np.mgrid[:size, :size]
    u, v, arm = column - (size - 1) / 2, row - (size - 1) / 2, max(1, size // 4)
    in_bar = lambda x: (x >= size // 2 - arm) & (x < size // 2 + arm)
    in_hole = lambda x: (x >= 2) & (x < size - 2)
    return (u == u, u**2 + v**2 <= (size / 2) ** 2, in_bar(row) | in_bar(column), column <= row,
            ~(in_hole(row) & in_hole(column)), abs(u) + abs(v) <= size / 2)[kind]


def picture(random, code, shifted, reading):
    kind, fill = divmod(code, 3)
    size = random.integers(7, 10)
    top, left = random.integers(0, 17 - size, 2)
    value = np.full((size, size), random.uniform(0.6, 0.95))
    if fill:
        stripes = np.where(np.arange(size) // reading.stripe % 2, 0.35, 1)
        value = value * (stripes[:, None] if fill == 1 else stripes)
    image = np.full((16, 16, 3), 0.2)
    image[top:top + size, left:left + size][figure(kind, size)] = value[figure(kind, size)][:, None]
    if shifted:
        image = (1 - image) * ((1, 0.8, 0.6) if reading.tinted else 1)
    image += random.normal(0, reading.noise, image.shape)
    return (image.clip(0, 1) if reading.clipped else image) - 0.5 * reading.centred


def data_of(seed, reading):
    """Base, novel and shifted pictures: classes x samples x 16 x 16 x 3."""
    random = np.random.default_rng((1, seed))
    other = seed if reading.split == -2 else reading.split
    order = OF_PROGRAM if reading.split == -1 else np.random.default_rng(50 + other).permutation(18)
    return [torch.tensor(np.stack([[picture(random, code, shifted, reading) for _ in range(count)] for code in codes])).float()
            for codes, count, shifted in ((order[:12], 60, False), (order[12:], 40, False), (order[12:], 40, True))]


def network(reading):
    pool = nn.MaxPool2d if reading.pool == "max" else nn.AvgPool2d
    relu = nn.ReLU if reading.rectified else nn.Identity
    net = nn.ModuleDict({
        "embedding": nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), relu(), pool(2),
                                   nn.Conv2d(16, FEATURES, 3, padding=1), relu(), pool(2)),
        "convolution": nn.Conv2d(2 * FEATURES, 24, 3, padding=1),
        "pool": pool(2),
        "first": nn.Linear(96, 16),
        "last": nn.Linear(16, 1),
    })
    if reading.init == "he":
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        net["last"].weight.data *= reading.last
    return net.to(memory_format=torch.channels_last)


def draw(random, data, queries):
    """Pictures (5 + 5 * queries, 3, 16, 16), a class's only support first; labels of the queries."""
    drawn = [data[c, random.permutation(data.shape[1])[:1 + queries]] for c in random.permutation(len(data))[:WAYS]]
    pictures = torch.cat([one[:1] for one in drawn] + [one[1:] for one in drawn])
    return pictures.permute(0, 3, 1, 2), torch.arange(WAYS).repeat_interleave(queries)


def pairs_of(net, pictures):
    features = net["embedding"](pictures)
    count = len(pictures) - WAYS
    return torch.cat([features[:WAYS].repeat(count, 1, 1, 1), features[WAYS:].repeat_interleave(WAYS, 0)], 1)


def head(net, mapped):
    return net["last"](F.relu(net["first"](net["pool"](F.relu(mapped)).flatten(1)))).view(-1, WAYS)


def scores_of_pictures(net, pictures):
    """As those of the pairs, with the convolution's two halves before pairing."""
    features, layer = net["embedding"](pictures), net["convolution"]
    support = F.conv2d(features[:WAYS], layer.weight[:, :FEATURES], padding=1)
    query = F.conv2d(features[WAYS:], layer.weight[:, FEATURES:], layer.bias, padding=1)
    return head(net, (query[:, None] + support).flatten(0, 1).contiguous(memory_format=torch.channels_last))


def relevance_weights(net, pairs, offset):
    """1 + R / max |R| over a position's channels. R from the log-odds: epsilon 0.01, then alpha=1 beta=0 without biases."""
    layer = net["convolution"]
    rectified = F.relu(layer(pairs)).detach().requires_grad_()
    pooled = net["pool"](rectified)
    with torch.no_grad():
        flat = pooled.flatten(1)
        hidden = F.relu(net["first"](flat))
        score = net["last"](hidden)
        p = score.view(-1, WAYS).softmax(1).clamp(1e-4, 1 - 1e-4)
        r = torch.log((WAYS - 1) * (p + offset) / (1 - p + offset)).view(-1, 1)
        step = lambda r, z: r / (z + torch.where(z >= 0, 0.01, -0.01))
        r = hidden * (step(r, score) @ net["last"].weight)
        r = flat * (step(r, net["first"](flat)) @ net["first"].weight)
    r, = torch.autograd.grad(pooled, rectified, r.view_as(pooled))
    with torch.no_grad():
        parts = [(x, w) for x, w in ((pairs.clamp(min=0), layer.weight.clamp(min=0)),
                                     (pairs.clamp(max=0), layer.weight.clamp(max=0)))]
        s = r / (sum(F.conv2d(x, w, padding=1) for x, w in parts) + 1e-6)
        r = sum(x * F.conv_transpose2d(s, w, padding=1) for x, w in parts)
        largest = r.abs().amax(1, keepdim=True)
        return 1 + torch.where(largest > 0, r / largest, torch.zeros(()))


def accuracies(arm, seed, reading):
    torch.manual_seed(seed)
    data, net = data_of(seed, reading), network(reading)
    order, channels = np.random.default_rng((2, seed)), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=reading.rate)
    if reading.loss == "squared":
        loss_of = lambda scores, labels: F.mse_loss(torch.sigmoid(scores), F.one_hot(labels, WAYS).float())
    else:
        loss_of = F.cross_entropy
    for step in range(reading.episodes):
        pictures, labels = draw(order, data[0], reading.queries)
        if arm in ("lrp", "permuted") and step >= GUIDED_FROM:
            pairs = pairs_of(net, pictures)
            weights = relevance_weights(net, pairs.detach(), reading.offset)
            if arm == "permuted":
                other = torch.rand(weights.shape[:2], generator=channels).argsort(1)
                weights = weights.gather(1, other[..., None, None].expand_as(weights))
            loss = sum(factor * loss_of(head(net, net["convolution"](p)), labels)
                       for factor, p in ((1, pairs), (0.5, pairs * weights)))
        else:
            factor = 1.5 if arm == "twice" and step >= GUIDED_FROM else 1
            loss = factor * loss_of(scores_of_pictures(net, pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        if reading.clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), reading.clip_norm)
        optimizer.step()
    result = []
    with torch.no_grad():
        for part in data:
            random, hits = np.random.default_rng(0), 0
            for _ in range(TESTS):
                pictures, labels = draw(random, part, 8)
                hits += (scores_of_pictures(net, pictures).argmax(1) == labels).float().mean().item()
            result.append(hits / TESTS)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--arms", nargs="+", default=["base"], choices=("base", "twice", "lrp", "permuted"))
    parser.add_argument("--set", action="append", default=[], metavar="READING=VALUE")
    arguments = parser.parse_args()
    types = {field.name: field.type for field in fields(Reading)}
    reading = replace(Reading(), **{name: types[name](value) for name, value in (text.split("=") for text in arguments.set)})
    torch.set_num_threads(1)
    shifted = {}
    for arm in arguments.arms:
        values = np.array([accuracies(arm, seed, reading) for seed in range(arguments.seeds)])
        shifted[arm] = values[:, 2]
        text = "; ".join(f"{name} {v.mean():.3f} +- {v.std():.3f}" for name, v in zip(("base", "novel", "shifted"), values.T))
        print(f"{arm:9}{text}; by seed {' '.join(f'{v:.2f}' for v in shifted[arm])}", flush=True)
    own = shifted.pop("lrp", None)
    for other, values in shifted.items() if own is not None else ():
        d = own - values
        print(f"lrp - {other}, shifted: {d.mean():.3f} +- {d.std():.3f}, higher in {(d > 0).sum()} of {len(d)}")


main()
