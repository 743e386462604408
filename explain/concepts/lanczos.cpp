// Lanczos with full orthogonalisation and thick restarts; see explain/concepts/eigen.h.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/clones.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/concepts/eigen.h"

namespace backlight {
namespace {

using Vector = std::vector<double>;

BACKLIGHT_CLONES void add_scaled(double* to, double factor, const double* what, size_t size) {
    BACKLIGHT_INDEPENDENT
    for (size_t k = 0; k < size; ++k) {
        to[k] += factor * what[k];
    }
}

BACKLIGHT_CLONES double dot(const double* a, const double* b, size_t size) {
    constexpr size_t kLanes = 8;
    double sums[kLanes] = {};
    size_t k = 0;
    for (; k + kLanes <= size; k += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            sums[lane] += a[k + lane] * b[k + lane];
        }
    }
    double sum = std::accumulate(sums, sums + kLanes, 0.0);
    for (; k < size; ++k) {
        sum += a[k] * b[k];
    }
    return sum;
}

/// Takes out of `v` what lies along the vectors, twice: once leaves rounding behind. Returns how much it was.
Vector orthogonalise(Vector& v, const std::vector<Vector>& against) {
    Vector along(against.size(), 0.0);
    for (int pass = 0; pass < 2; ++pass) {
        for (size_t i = 0; i < against.size(); ++i) {
            const double product = dot(v.data(), against[i].data(), v.size());
            add_scaled(v.data(), -product, against[i].data(), v.size());
            along[i] += product;
        }
    }
    return along;
}

/// Returns the length it had; a vector of (nearly) nothing stays.
double to_unit_length(Vector& v) {
    const double length = std::sqrt(dot(v.data(), v.data(), v.size()));
    if (length > 1e-12) {
        std::transform(v.begin(), v.end(), v.begin(), [&](double x) { return x / length; });
    }
    return length;
}

Vector random_vector(size_t n, uint64_t seed, uint64_t which) {
    RandomStream random(RandomKey{.seed = seed, .purpose = purpose::kExplainer, .step = which, .sample = 3});
    Vector v(n);
    std::generate(v.begin(), v.end(), [&] { return random.normal(); });
    return v;
}

double nth_smallest(Vector values, size_t n) {
    std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(n - 1), values.end());
    return values[n - 1];
}

/// A subspace with what A does in it: A V = V H + rest e', where `rest` is orthogonal to V and e the last
/// unit vector.
class KrylovSpace {
public:
    KrylovSpace(const SymmetricProduct& product, const std::vector<Vector>& avoid, Vector start, size_t room)
        : product_(product), avoid_(avoid), next_(std::move(start)), room_(room), h_(room * room, 0.0) {}

    /// Adds vectors until there is no room, or nothing new.
    void grow() {
        Vector image(next_.size());
        while (basis_.size() < room_ && !exhausted_) {
            basis_.push_back(next_);
            product_(basis_.back(), image);
            (void)orthogonalise(image, avoid_);
            const Vector along = orthogonalise(image, basis_);
            (void)orthogonalise(image,
                                avoid_);  // again: what the basis has of it would grow from vector to vector
            const size_t j = basis_.size() - 1;
            for (size_t i = 0; i <= j; ++i) {
                h_[i * room_ + j] = h_[j * room_ + i] = along[i];
            }
            next_ = image;
            rest_ = to_unit_length(next_);
            exhausted_ = rest_ < 1e-10;
            if (rest_ < 1e-3) {  // little was left, and rounding is large against it
                (void)orthogonalise(next_, avoid_);
                (void)orthogonalise(next_, basis_);
                (void)to_unit_length(next_);
            }
        }
    }
    /// Eigenvalues of H and the residuals |A y - θ y| of their vectors.
    void solve(size_t count) {
        const size_t n = basis_.size();
        Vector h(n * n);
        for (size_t i = 0; i < n; ++i) {
            std::copy_n(h_.begin() + static_cast<int64_t>(i * room_), n,
                        h.begin() + static_cast<int64_t>(i * n));
        }
        ritz_ = smallest_eigenpairs(std::move(h), static_cast<int64_t>(n),
                                    static_cast<int64_t>(std::min(count, n)));
    }
    [[nodiscard]] const Vector& values() const { return ritz_.values; }
    [[nodiscard]] double residual(size_t j) const {
        const size_t count = ritz_.values.size();
        return exhausted_ ? 0.0 : rest_ * std::abs(ritz_.vectors[(basis_.size() - 1) * count + j]);
    }
    [[nodiscard]] Vector vector(size_t j) const {
        Vector y(next_.size(), 0.0);
        for (size_t i = 0; i < basis_.size(); ++i) {
            add_scaled(y.data(), ritz_.vectors[i * ritz_.values.size() + j], basis_[i].data(), y.size());
        }
        return y;
    }
    [[nodiscard]] bool exhausted() const { return exhausted_; }
    /// Keeps the solved vectors only (Wu and Simon, "Thick-restart Lanczos method ...", 2000).
    void restart() {
        std::vector<Vector> kept;
        std::fill(h_.begin(), h_.end(), 0.0);
        for (size_t j = 0; j < ritz_.values.size(); ++j) {
            kept.push_back(vector(j));
            h_[j * room_ + j] = ritz_.values[j];
        }
        basis_ = std::move(kept);
    }

private:
    const SymmetricProduct& product_;
    const std::vector<Vector>& avoid_;
    Vector next_;
    size_t room_;
    Vector h_;
    std::vector<Vector> basis_;
    double rest_ = 0;
    bool exhausted_ = false;
    Eigenpairs ritz_;
};

}  // namespace

Eigenpairs lanczos_smallest(const SymmetricProduct& product, int64_t n, int64_t count, uint64_t seed,
                            double tolerance) {
    BACKLIGHT_CHECK(n >= 1 && count >= 1 && count <= n,
                    "lanczos: expected 1 <= count <= n, got count = ", count, ", n = ", n);
    const auto size = static_cast<size_t>(n), wanted = static_cast<size_t>(count);
    constexpr int kRestarts = 300;
    std::vector<Vector> found;
    Vector values;
    for (uint64_t search = 0; found.size() < size; ++search) {
        Vector start = random_vector(size, seed, search);
        (void)orthogonalise(start, found);
        if (to_unit_length(start) < 1e-9) {
            break;  // the whole space has been searched
        }
        // Until all are there whatever converges is taken; then what is smaller than the worst of the wanted
        // ones.
        const bool complete = found.size() >= wanted;
        const double limit = complete ? nth_smallest(values, wanted) : INFINITY;
        const size_t ask = complete ? 1 : wanted;
        KrylovSpace space(product, found, std::move(start), std::min(size - found.size(), 3 * ask + 60));
        const auto converged = [&] {
            size_t good = 0;
            while (good < std::min(ask, space.values().size()) && space.residual(good) <= tolerance) {
                ++good;
            }
            return good;
        };
        for (int restart = 0;; ++restart) {
            space.grow();
            space.solve(ask + ask / 2 + 10);
            if (space.exhausted() || converged() == ask) {
                break;
            }
            BACKLIGHT_CHECK(restart < kRestarts, "lanczos: only ", found.size() + converged(), " of ", wanted,
                            " eigenvalues converged");
            space.restart();
        }
        const size_t good = converged();
        if (complete && space.values()[0] >= limit - tolerance) {
            break;
        }
        for (size_t j = 0; j < good; ++j) {
            values.push_back(space.values()[j]);
            found.push_back(space.vector(j));
        }
    }
    std::vector<size_t> order(found.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
    Eigenpairs result{.values = {}, .vectors = Vector(size * wanted)};
    for (size_t j = 0; j < wanted; ++j) {
        result.values.push_back(values[order[j]]);
        for (size_t k = 0; k < size; ++k) {
            result.vectors[k * wanted + j] = found[order[j]][k];
        }
    }
    return result;
}

}  // namespace backlight
