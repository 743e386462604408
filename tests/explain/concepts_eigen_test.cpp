// The eigen-solvers against matrices whose eigenvalues are known, and against what an eigenvector is.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "explain/concepts/eigen.h"
#include "tests/datasets/support.h"

using namespace backlight;
using testing::contains;
using testing::error_of;

namespace {

using Matrix = std::vector<double>;

Matrix random_symmetric(int64_t n, uint64_t seed) {
    RandomStream random(seed);
    Matrix a(static_cast<size_t>(n * n));
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
            a[static_cast<size_t>(i * n + j)] = a[static_cast<size_t>(j * n + i)] = random.normal();
        }
    }
    return a;
}

/// Laplacian of a path of n nodes: eigenvalues 2 - 2 cos(k π / n).
Matrix path(int64_t n) {
    Matrix a(static_cast<size_t>(n * n), 0.0);
    for (int64_t i = 0; i + 1 < n; ++i) {
        a[static_cast<size_t>(i * n + i)] += 1;
        a[static_cast<size_t>((i + 1) * n + i + 1)] += 1;
        a[static_cast<size_t>(i * n + i + 1)] = a[static_cast<size_t>((i + 1) * n + i)] = -1;
    }
    return a;
}

/// `copies` blocks side by side: every eigenvalue that often.
Matrix blocks(const Matrix& block, int64_t size, int64_t copies) {
    const int64_t n = size * copies;
    Matrix a(static_cast<size_t>(n * n), 0.0);
    for (int64_t c = 0; c < copies; ++c) {
        for (int64_t i = 0; i < size; ++i) {
            for (int64_t j = 0; j < size; ++j) {
                a[static_cast<size_t>((c * size + i) * n + c * size + j)] =
                    block[static_cast<size_t>(i * size + j)];
            }
        }
    }
    return a;
}

SymmetricProduct times(const Matrix& a, int64_t n) {
    return [&a, n](std::span<const double> x, std::span<double> y) {
        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
            y[i] = std::inner_product(x.begin(), x.end(), a.begin() + static_cast<int64_t>(i) * n, 0.0);
        }
    };
}

/// |A v - λ v| and the distance of V'V from the identity.
void check_pairs(const Matrix& a, int64_t n, const Eigenpairs& pairs, double tolerance) {
    const auto count = static_cast<int64_t>(pairs.values.size());
    const auto at = [&](int64_t k, int64_t j) { return pairs.vectors[static_cast<size_t>(k * count + j)]; };
    CHECK(std::is_sorted(pairs.values.begin(), pairs.values.end()));
    for (int64_t j = 0; j < count; ++j) {
        CAPTURE(j);
        double residual = 0;
        for (int64_t i = 0; i < n; ++i) {
            double y = -pairs.values[static_cast<size_t>(j)] * at(i, j);
            for (int64_t k = 0; k < n; ++k) {
                y += a[static_cast<size_t>(i * n + k)] * at(k, j);
            }
            residual = std::max(residual, std::abs(y));
        }
        CHECK(residual < tolerance);
        for (int64_t other = 0; other <= j; ++other) {
            double product = other == j ? -1 : 0;
            for (int64_t k = 0; k < n; ++k) {
                product += at(k, j) * at(k, other);
            }
            CHECK(std::abs(product) < tolerance);
        }
    }
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("eigen: pairs of random symmetric matrices satisfy A v = λ v and are orthonormal") {
        for (const int64_t n : {1, 2, 3, 9, 64, 131}) {
            CAPTURE(n);
            const Matrix a = random_symmetric(n, static_cast<uint64_t>(n));
            const Eigenpairs all = smallest_eigenpairs(a, n, n);
            check_pairs(a, n, all, 1e-11);
            double trace = 0;
            for (int64_t i = 0; i < n; ++i) {
                trace += a[static_cast<size_t>(i * n + i)];
            }
            CHECK(std::accumulate(all.values.begin(), all.values.end(), 0.0) == doctest::Approx(trace));
            const int64_t few = std::min<int64_t>(n, 5);
            const Eigenpairs some = smallest_eigenpairs(a, n, few);
            check_pairs(a, n, some, 1e-11);
            for (size_t j = 0; j < some.values.size(); ++j) {
                CHECK(some.values[j] == doctest::Approx(all.values[j]).epsilon(1e-12));
            }
        }
    }

    TEST_CASE(
        "eigen: known eigenvalues of a path, multiple ones, and matrices that are nothing but a diagonal") {
        constexpr int64_t kNodes = 40;
        const Eigenpairs line = smallest_eigenpairs(path(kNodes), kNodes, 10);
        for (size_t k = 0; k < 10; ++k) {
            const double expected = 2 - 2 * std::cos(static_cast<double>(k) * std::numbers::pi / kNodes);
            CHECK(std::abs(line.values[k] - expected) < 1e-13);
        }
        const Matrix three = blocks(path(11), 11, 3);
        const Eigenpairs found = smallest_eigenpairs(three, 33, 7);
        check_pairs(three, 33, found, 1e-12);
        for (size_t j = 0; j < 3; ++j) {
            CHECK(std::abs(found.values[j]) < 1e-13);
            CHECK(std::abs(found.values[3 + j] - (2 - 2 * std::cos(std::numbers::pi / 11))) < 1e-13);
        }
        Matrix diagonal(25, 0.0);
        for (size_t i = 0; i < 5; ++i) {
            diagonal[i * 6] = std::vector<double>{3, -1, 0, 0, 7}[i];
        }
        CHECK(smallest_eigenpairs(diagonal, 5, 5).values == std::vector<double>{-1, 0, 0, 3, 7});
        CHECK(smallest_eigenpairs(Matrix(16, 0.0), 4, 2).values == std::vector<double>{0, 0});
    }

    TEST_CASE("lanczos: the values of the dense solver, multiple ones included") {
        struct Case {
            Matrix matrix;
            int64_t n, count;
        };
        const Matrix three = blocks(path(30), 30, 3);
        for (const Case& c : std::vector<Case>{{path(300), 300, 8},
                                               {three, 90, 10},
                                               {random_symmetric(120, 3), 120, 12},
                                               {blocks(path(2), 2, 20), 40, 25},
                                               {Matrix(36, 0.0), 6, 6}}) {
            CAPTURE(c.n);
            const Eigenpairs dense = smallest_eigenpairs(c.matrix, c.n, c.count);
            const Eigenpairs sparse = lanczos_smallest(times(c.matrix, c.n), c.n, c.count);
            check_pairs(c.matrix, c.n, sparse, 1e-6);
            for (size_t j = 0; j < dense.values.size(); ++j) {
                CHECK(std::abs(sparse.values[j] - dense.values[j]) < 1e-9);
            }
        }
    }

    TEST_CASE("eigen: sizes that do not fit and values that are not finite are refused") {
        CHECK(contains(error_of([] { (void)smallest_eigenpairs({1, 2, 3}, 2, 1); }), "n = 2"));
        CHECK(contains(error_of([] { (void)smallest_eigenpairs({1, 2, 2, 3}, 2, 3); }), "count = 3"));
        CHECK(contains(error_of([] { (void)tridiagonal_eigenpairs({1, 2}, {}, 1); }), "n - 1 below"));
        CHECK(contains(error_of([] { (void)smallest_eigenpairs({NAN, 0, 0, 1}, 2, 1); }), "finite"));
    }
}
