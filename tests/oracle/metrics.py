"""Numbers that tests/explain/metrics_*_test.cpp compare with, from libraries that know nothing of Backlight.

python metrics.py      the tests hold what numpy 2.4.6, scipy 1.17.1 and scikit-image 0.26.0 print, in f64.
"""
import numpy as np
from scipy.stats import pearsonr, spearmanr
from skimage.metrics import structural_similarity


def wave(height, width, phase, row, column):
    return np.array([[np.sin(phase + row * h + column * w) for w in range(width)] for h in range(height)])


def statistics():
    a, b = wave(9, 8, 1.0, 1.3, 2.1), wave(9, 8, 0.7, 1.1, 2.4)
    for window in (3, 5, 7):
        value = structural_similarity(a / abs(a).max(), b / abs(b).max(), win_size=window, data_range=2)
        print("ssim", window, value)
    print("pearson", pearsonr(a.ravel(), b.ravel())[0])
    print("spearman", spearmanr(a.ravel(), b.ravel())[0])
    print("spearman with ties", spearmanr(np.round(3 * a).ravel(), np.round(2 * b).ravel())[0])
    counts, _ = np.histogram(a.ravel(), bins=10)
    share = counts[counts > 0] / counts.sum()
    print("entropy of the histogram", -(share * np.log(share)).sum())


def imputation(height=5, width=6, channels=2):
    """The equations of ROAD's noisy linear imputation, solved densely."""
    x = np.array([[[np.sin(1 + 0.9 * h + 1.7 * w + 2.3 * c) for c in range(channels)] for w in range(width)]
                  for h in range(height)])
    removed = [(h, w) for h in range(height) for w in range(width) if (3 * h + 5 * w) % 4 != 0]
    number = {pixel: i for i, pixel in enumerate(removed)}
    matrix, known = np.eye(len(removed)), np.zeros((len(removed), channels))
    for (h, w), i in number.items():
        near = [(h + i_, w + j_, 1 / 6 if 0 in (i_, j_) else 1 / 12) for i_ in (-1, 0, 1) for j_ in (-1, 0, 1)
                if (i_, j_) != (0, 0) and 0 <= h + i_ < height and 0 <= w + j_ < width]
        total = sum(weight for _, _, weight in near)
        for r, c, weight in near:
            if (r, c) in number:
                matrix[i, number[r, c]] -= weight / total
            else:
                known[i] += weight / total * x[r, c]
    u = np.linalg.solve(matrix, known)
    print("imputation", len(removed), u[[0, 5, -1]].ravel(), u.sum())


np.set_printoptions(precision=12)
statistics()
imputation()
