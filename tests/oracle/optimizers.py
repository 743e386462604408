#!/usr/bin/env python3
"""Optimisers against PyTorch: prints tests/train/golden_optimizers.h. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch
    /tmp/oracle/bin/python tests/oracle/optimizers.py > tests/train/golden_optimizers.h

Five weights, four steps: w_i = ((37 i) mod 11) / 5 - 1, gradient of step t g_i = ((29 i + 13 t) mod 17) / 8 - 1.
"""
import torch

torch.set_default_dtype(torch.float64)
COUNT, STEPS = 5, 4

# Ours have eps = 1e-8 for Adadelta too, where PyTorch has 1e-6.
CASES = [
    ("sgd", torch.optim.SGD, dict(lr=0.1)),
    ("sgd decay", torch.optim.SGD, dict(lr=0.1, weight_decay=0.05)),
    ("sgd momentum", torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    ("sgd momentum decay", torch.optim.SGD, dict(lr=0.1, momentum=0.8, weight_decay=0.05)),
    ("sgd nesterov decay", torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.05, nesterov=True)),
    ("adam", torch.optim.Adam, dict(lr=0.1)),
    ("adam decay betas", torch.optim.Adam, dict(lr=0.1, weight_decay=0.05, betas=(0.8, 0.95), eps=1e-4)),
    ("adamw", torch.optim.AdamW, dict(lr=0.1, weight_decay=0.05)),
    ("adadelta", torch.optim.Adadelta, dict(lr=0.5, rho=0.9, eps=1e-8)),
    ("adadelta decay", torch.optim.Adadelta, dict(lr=1.0, rho=0.8, eps=1e-4, weight_decay=0.05)),
    ("rmsprop", torch.optim.RMSprop, dict(lr=0.1)),
    ("rmsprop decay alpha", torch.optim.RMSprop, dict(lr=0.1, alpha=0.8, eps=1e-4, weight_decay=0.05)),
    ("rmsprop momentum", torch.optim.RMSprop, dict(lr=0.1, momentum=0.9)),
    ("rmsprop centered momentum", torch.optim.RMSprop, dict(lr=0.1, alpha=0.8, momentum=0.9, centered=True)),
]


def main():
    print("// Written by tests/oracle/optimizers.py with torch", torch.__version__ + ", float64: the weights after each step.")
    print("#pragma once\n\n#include <map>\n#include <string>\n#include <vector>\n")
    print("namespace backlight::test {\n")
    print("inline const std::map<std::string, std::vector<std::vector<double>>> golden_optimizers = {")
    for name, optimizer, options in CASES:
        i = torch.arange(COUNT)
        w = (((37 * i) % 11).double() / 5 - 1).requires_grad_()
        update = optimizer([w], **options)
        rows = []
        for step in range(STEPS):
            w.grad = ((29 * i + 13 * step) % 17).double() / 8 - 1
            update.step()
            rows.append("{" + ", ".join(f"{v:.17g}" for v in w.tolist()) + "}")
        print(f'    {{"{name}",\n     {{' + ",\n      ".join(rows) + "}},")
    print("};\n\n}  // namespace backlight::test")


main()
