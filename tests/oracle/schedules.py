#!/usr/bin/env python3
"""Schedules against PyTorch: prints tests/train/golden_schedules.h. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch
    /tmp/oracle/bin/python tests/oracle/schedules.py > tests/train/golden_schedules.h

Factors of 30 steps, 3 an epoch; with a warm-up of 6 steps in the last two cases.
"""
import warnings

import torch
from torch.optim import lr_scheduler as s

warnings.simplefilter("ignore")
STEPS, PER_EPOCH, WARMUP = 30, 3, 6


def warmed(make, total=STEPS - WARMUP):
    def build(optimizer):
        first = s.LinearLR(optimizer, start_factor=1 / WARMUP, total_iters=WARMUP - 1)
        return s.SequentialLR(optimizer, [first, make(optimizer, total)], milestones=[WARMUP])
    return build


# (our text, warm-up, stepped each epoch, PyTorch's)
CASES = [
    ("step(every=2, gamma=0.5)", 0, True, lambda o: s.StepLR(o, 2, 0.5)),
    ("multi_step(at=3:7, gamma=0.1)", 0, True, lambda o: s.MultiStepLR(o, [3, 7], 0.1)),
    ("exponential(gamma=0.8)", 0, True, lambda o: s.ExponentialLR(o, 0.8)),
    ("cosine(min=0.1)", 0, False, lambda o: s.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
    ("polynomial(power=2)", 0, False, lambda o: s.PolynomialLR(o, STEPS, 2.0)),
    ("one_cycle", 0, False, lambda o: s.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False)),
    ("one_cycle(warm=0.45, div=10, final_div=100)", 0, False,
     lambda o: s.OneCycleLR(o, 1.0, STEPS, pct_start=0.45, div_factor=10, final_div_factor=100, cycle_momentum=False)),
    ("cosine", WARMUP, False, warmed(lambda o, total: s.CosineAnnealingLR(o, total))),
    ("polynomial(power=0.9)", WARMUP, False, warmed(lambda o, total: s.PolynomialLR(o, total, 0.9))),
]


def main():
    print("// Written by tests/oracle/schedules.py with torch", torch.__version__ + ": the factor of each step.")
    print("#pragma once\n\n#include <cstdint>\n#include <string>\n#include <vector>\n")
    print("namespace backlight::test {\n")
    print("struct GoldenSchedule {\n    std::string spec;\n    int64_t warmup;\n    std::vector<double> factors;\n};\n")
    print("inline const std::vector<GoldenSchedule> golden_schedules = {")
    for spec, warmup, by_epoch, make in CASES:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule = make(optimizer)
        factors = []
        for step in range(STEPS):
            factors.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if not by_epoch or (step + 1) % PER_EPOCH == 0:
                schedule.step()
        print(f'    {{"{spec}",\n     {warmup},\n     {{' + ", ".join(f"{v:.17g}" for v in factors) + "}},")
    print("};\n\n}  // namespace backlight::test")


main()
