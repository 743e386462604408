#!/usr/bin/env python3
"""Average precision against scikit-learn and the formulas of the VOC development kit: prints the numbers of
tests/train/average_precision_test.cpp. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install scikit-learn
    /tmp/oracle/bin/python tests/oracle/average_precision.py

40 samples, 3 classes: score ((37 i + 11 k) mod 41) / 8, for class 2 rounded down to equal scores; target 1 where
(13 i + 5 k) mod 17 < 5 + k.
"""
import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

for k in range(3):
    i = np.arange(40)
    score = ((37 * i + 11 * k) % 41) / 8
    score = np.floor(score) if k == 2 else score
    target = (13 * i + 5 * k) % 17 < 5 + k
    precision, recall, _ = precision_recall_curve(target, score)
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]
    # VOCap.m: the precision made monotone, the area under it
    mrec = np.concatenate([[0], recall, [1]])
    mpre = np.concatenate([[0], precision, [0]])
    mpre = np.maximum.accumulate(mpre[::-1])[::-1]
    change = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
    area = np.sum((mrec[change] - mrec[change - 1]) * mpre[change])
    points = np.mean([precision[recall >= t / 10 - 1e-12].max() for t in range(11)])
    print(f"{{{average_precision_score(target, score):.17g}, {area:.17g}, {points:.17g}}},")
