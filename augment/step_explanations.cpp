#include "augment/step_explanations.h"

#include <algorithm>

#include "autograd/functions.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "datasets/corrupt.h"

namespace backlight {
namespace {

/// A key that changes with the batch's values.
std::string key_of(const Batch& batch) {
    return std::to_string(batch.input.storage_id()) + "." + std::to_string(batch.input.version());
}

std::vector<int> axes_of_sample(const Tensor& map) {
    std::vector<int> axes;
    for (int axis = 1; axis < map.rank(); ++axis) {
        axes.push_back(axis);
    }
    return axes;
}

/// FNV-1a.
uint32_t hash_of(const std::string& text) {
    uint32_t hash = 2166136261U;
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    }
    return hash;
}

Variable zero_of(const Tensor& like) { return Variable(Tensor::zeros({1}, like.dtype(), like.device())); }

}  // namespace

int64_t samples_at_once(const Shape& sample) {
    return std::clamp<int64_t>(1'000'000 / std::max<int64_t>(sample.numel(), 1), 1, 128);
}

namespace {

/// Drawn once in a run, where they can be read.
Tensor background_of(const TrainingRun& run) {
    constexpr int64_t kSamples = 20;
    if (!run.background->defined()) {
        const std::vector<int64_t> drawn =
            RandomStream(RandomKey{.seed = run.seed, .purpose = purpose::kExplainer})
                .sample(run.data->size(), std::min(kSamples, run.data->size()));
        *run.background = run.data->batch(readable(*run.data, drawn)).input;
    }
    return *run.background;
}

}  // namespace

ExplainContext explain_context(const TrainingRun& run) {
    const InputRange range = run.data->input_range();
    const Normalization& scale = run.data->normalization();
    return {.cam_layer = run.model->cam_layer,
            .low = {range.low.begin(), range.low.end()},
            .high = {range.high.begin(), range.high.end()},
            .mean = {scale.mean.begin(), scale.mean.end()},
            .std = {scale.std.begin(), scale.std.end()},
            .seed = run.seed,
            .background = [&run] { return background_of(run); }};
}

Tensor blank_sample(const TrainingRun& run) {
    Shape shape{1};
    for (const int64_t extent : run.data->sample_shape()) {
        shape.push_back(extent);
    }
    return Tensor::zeros(shape, run.model->net->parameters().at(0).value.dtype());
}

Batch blank_batch(const TrainingRun& run) {
    Batch batch{.input = blank_sample(run), .indices = {0}};
    if (run.data->is_multi_label()) {
        batch.target = Tensor::zeros({1, run.data->num_classes()});
        batch.target_weight = Tensor::ones({1, run.data->num_classes()});
    } else {
        batch.label = Tensor::from(std::vector<int64_t>{0}, {1});
    }
    const Shape& shape = batch.input.shape();
    const Tensor mask = Tensor::zeros(shape.rank() == 4 ? Shape{1, shape[1], shape[2]} : shape, DType::f32);
    batch.mask = run.data->has_masks() ? mask : Tensor();
    batch.decoy_mask = run.data->has_decoy_masks() ? mask : Tensor();
    return batch;
}

void check_called_once(const ExplainedForward& forward, const std::string& layer, const std::string& who) {
    const std::vector<std::string>& calls = forward.layers().names();
    BACKLIGHT_CHECK(std::find(calls.begin(), calls.end(), layer + "#1") == calls.end(), who, ": layer ",
                    layer, " is called several times in a forward pass; take one around it or behind it");
}

RandomStream stream_of(const TrainingStep& step, const std::string& owner, size_t row) {
    const std::vector<int64_t>& samples = step.batch.indices;
    const int64_t sample = samples.at(row);
    const auto before =
        std::count(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(row), sample);
    const uint64_t use = hash_of(before == 0 ? owner : concat_text(owner, " again ", before));
    return RandomStream(RandomKey{.seed = step.run.seed,
                                  .purpose = purpose::kAugmentation,
                                  .step = static_cast<uint64_t>(step.step) | use << 32,
                                  .sample = static_cast<uint32_t>(sample)});
}

std::vector<int64_t> numbers_of(const TrainingStep& step) {
    std::vector<int64_t> numbers;
    for (const int64_t index : step.batch.indices) {
        numbers.push_back(step.step * step.run.data->size() + index);
    }
    return numbers;
}

double maps_not_finite(const TrainingStep& step) {
    const auto count = step.shared.find(kMapsNotFinite);
    return count == step.shared.end() ? 0 : std::any_cast<double>(count->second);
}

Tensor finite_or_zero(const Tensor& map, double* replaced) {
    const NoGrad off;
    const Variable finite(mask(UnaryOp::is_finite, map));
    const Tensor whole = amin(finite, axes_of_sample(map), true).data();
    if (replaced != nullptr) {
        *replaced += static_cast<double>(whole.numel()) - sum(Variable(whole.to(DType::f64))).item();
    }
    return where(whole, Variable(map), zero_of(map)).data();
}

namespace {

/// Of this step, built once.
Explainer& explainer_of(TrainingStep& step, const std::string& method) {
    std::any& known = step.shared["method " + method];
    if (!known.has_value()) {
        known = std::shared_ptr<Explainer>(build_method(method, explain_context(step.run)));
    }
    return *std::any_cast<std::shared_ptr<Explainer>&>(known);
}

}  // namespace

const ExplainedForward& explained_batch(TrainingStep& step, const std::string& method,
                                        const std::vector<std::string>& layers) {
    const std::string key = "forward " + key_of(step.batch);
    std::string from;
    if (!method.empty() && !step.shared[key].has_value()) {
        from = explainer_of(step, method).reads_from({.layers = layers});
    }
    std::any& known = step.shared[from.empty() ? key : key + " from " + from];
    if (!known.has_value()) {
        const PrecisionScope full(DType::f32);  // of a step in mixed precision too
        known =
            std::make_shared<ExplainedForward>(step.net(), step.batch.input, Recording::Keeps::values, from);
    }
    return *std::any_cast<std::shared_ptr<ExplainedForward>&>(known);
}

std::vector<Tensor> explained_maps(TrainingStep& step, const std::string& method,
                                   const std::vector<int64_t>& targets,
                                   const std::vector<std::string>& layers) {
    std::string key = "maps " + method + " " + key_of(step.batch);
    for (const int64_t target : targets) {
        key += " " + std::to_string(target);
    }
    for (const std::string& layer : layers) {
        key += " " + layer;
    }
    std::any& known = step.shared[key];
    if (!known.has_value()) {
        const ExplainedForward& forward = explained_batch(step, method, layers);
        const NoGrad off;
        const PrecisionScope full(DType::f32);
        std::vector<Tensor> maps;
        double replaced = maps_not_finite(step);
        for (const Variable& map :
             explainer_of(step, method)
                 .explain(forward, {.targets = targets, .layers = layers, .numbers = numbers_of(step)}, false)
                 .maps) {
            maps.push_back(finite_or_zero(map.data(), &replaced));
        }
        known = std::move(maps);
        step.shared[kMapsNotFinite] = replaced;
    }
    return std::any_cast<std::vector<Tensor>>(known);
}

Tensor explained_map(TrainingStep& step, const std::string& method, const std::vector<int64_t>& targets,
                     const std::string& layer) {
    return explained_maps(step, method, targets,
                          layer.empty() ? std::vector<std::string>{} : std::vector<std::string>{layer})[0];
}

std::vector<int64_t> labels_of(const Batch& batch, const std::string& who) {
    BACKLIGHT_CHECK(batch.label.defined(), who, ": needs one label a sample, the data has several");
    return batch.soft_label.defined() ? argmax(batch.soft_label, 1).to_vector<int64_t>()
                                      : batch.label.to_vector<int64_t>();
}

ExplainRequest label_request(const Batch& batch) {
    const Tensor several = batch.target.defined() ? batch.target : batch.soft_label;
    return several.defined() ? ExplainRequest{.start = several}
                             : ExplainRequest{.targets = batch.label.to_vector<int64_t>()};
}

Tensor maxabs_by_sample(const Tensor& map) {
    const NoGrad off;
    const Variable largest = amax(abs(Variable(map)), axes_of_sample(map), true);
    return divide_or_zero(Variable(map), largest).data();
}

Tensor minmax_by_sample(const Tensor& map) {
    const NoGrad off;
    const std::vector<int> axes = axes_of_sample(map);
    const Variable low = amin(Variable(map), axes, true);
    const Variable span = amax(Variable(map), axes, true) - low;
    const Tensor varies =
        compare(BinaryOp::greater, span.data(), Tensor::full({1}, 1e-12, map.dtype(), map.device()));
    const Variable one(Tensor::ones({1}, map.dtype(), map.device()));
    return ((Variable(map) - low) * Variable(varies) / where(varies, span, one)).data();
}

}  // namespace backlight
