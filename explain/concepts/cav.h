// Concept activation vectors: the direction in a layer's activations that a concept lies in, learned from
// samples with the concept and samples without it.
//   filter   the weight v of a linear classifier (logistic, ridge, svm), which is 1 for the concept and -1
//   without it:
//            Σ_n c_n loss(t_n, v·a_n + b) + λ/2 ‖v‖²,   Σ c_n = 1, half of it for either class
//   pattern  v = Σ (a_n - ā)(t_n - t̄) / Σ (t_n - t̄)²: not misled by what a filter corrects for
// Sources: Kim et al., "Interpretability beyond feature attribution: quantitative testing with concept
// activation vectors (TCAV)", ICML 2018; Pahde et al., "Navigating neural space: revisiting concept
// activation vectors to overcome directional divergence", 2024 (pattern).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace backlight {

enum class CavKind : uint8_t {
    logistic,
    ridge,  // squared error
    svm,    // squared hinge, without intercept
    pattern,
};
[[nodiscard]] CavKind parse_cav_kind(const std::string& name);
[[nodiscard]] const std::vector<std::string>& list_cav_kinds();

struct CavOptions {
    CavKind kind = CavKind::logistic;
    double l2 = 0.01;          // λ
    bool intercept = true;     // b, of logistic and ridge
    double test_share = 0.33;  // of the samples of each class; they are held out and measure the accuracy
    uint64_t seed = 0;         // of what is held out
    uint64_t draw = 0;         // another draw of the same seed
};

struct ConceptVector {
    std::vector<double> direction;          // unit length; the concept is on its positive side
    double offset = 0;                      // direction·a + offset > 0 is taken for the concept
    double accuracy = 0;                    // on what was held out, mean of the two classes
    int64_t trained_on = 0, tested_on = 0;  // samples
};

/// Activations of samples with and without the concept: (N,D), or (N,P,D) with P positions a sample, each of
/// which counts; a sample's positions are held out together. Throws Error on other shapes, values that are
/// not finite, fewer than 6 samples of either, and activations that do not differ.
[[nodiscard]] ConceptVector concept_vector(const Tensor& with, const Tensor& without,
                                           const CavOptions& options = {});

/// How positions of a layer count: their mean, or each.
enum class ActivationPooling : uint8_t { average, positions };
/// Activations of a layer (N,...,C) as concept_vector takes them: f64 (N,C) or (N,P,C).
[[nodiscard]] Tensor pooled_activations(const Tensor& activations, ActivationPooling pooling);

/// Correction of a model: a - (v·(a - a₀)) v for activations a (N,...,C), a vector v (C) of unit length and a
/// reference a₀ (C), e.g. the mean without the concept. Differentiable. Source: Anders et al., "Finding and
/// removing Clever Hans", Information Fusion, 2022 (P-ClArC).
[[nodiscard]] Variable project_out(const Variable& activations, const Variable& direction,
                                   const Variable& reference);

/// Σ over positions of ∇_a f · v: (N,...,C) and (C) -> (N). Differentiable: the mean of its square is the
/// loss "right reason by concept" when `gradient` has a history.
[[nodiscard]] Variable concept_sensitivity(const Variable& gradient, const Variable& direction);

}  // namespace backlight
