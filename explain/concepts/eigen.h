// The smallest eigenvalues of a symmetric matrix, with their vectors.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace backlight {

struct Eigenpairs {
    std::vector<double> values;   // ascending
    std::vector<double> vectors;  // (n, count) in rows: column j belongs to values[j]; orthonormal
};

/// Of a dense matrix (n,n) in rows, whose lower triangle is read. Householder's reduction to a tridiagonal
/// matrix, then QL with implicit shifts; of the n vectors only the wanted ones are carried through the
/// rotations. About 4/3 n³ multiplications and n² numbers more than the matrix. Throws Error when sizes do
/// not fit. Source: Golub and Van Loan, "Matrix computations", 2013, algorithms 8.3.1 and 8.3.3.
[[nodiscard]] Eigenpairs smallest_eigenpairs(std::vector<double> matrix, int64_t n, int64_t count);

/// y = A x.
using SymmetricProduct = std::function<void(std::span<const double> x, std::span<double> y)>;
/// Of a large sparse matrix whose elements are about 1: Lanczos with full orthogonalisation and thick
/// restarts. What has converged is set aside and the search begins anew in what is orthogonal to it, until it
/// finds nothing smaller: so multiple eigenvalues (components of a graph) are found with their multiplicity.
/// `seed` draws the first vectors, |A v - λ v| is at most `tolerance`. Throws Error when that is not reached.
[[nodiscard]] Eigenpairs lanczos_smallest(const SymmetricProduct& product, int64_t n, int64_t count,
                                          uint64_t seed = 0, double tolerance = 1e-9);

/// Of a symmetric tridiagonal matrix: diagonal (n) and what lies below it (n - 1).
[[nodiscard]] Eigenpairs tridiagonal_eigenpairs(std::vector<double> diagonal, std::vector<double> below,
                                                int64_t count);

}  // namespace backlight
