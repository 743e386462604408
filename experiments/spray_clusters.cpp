// What SpRAy finds for a class of a data set.
#include <algorithm>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "experiments/concept_data.h"
#include "experiments/spray_report.h"

namespace backlight {

double ClassClusters::share_right(int64_t label) const {
    int64_t right = 0;
    for (size_t i = 0; i < predicted.size(); ++i) {
        right += result.labels[i] == label && predicted[i] == class_number ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(result.size_of(label), 1));
}

ClassClusters cluster_class(const SprayRun& run, int64_t class_number) {
    ClassClusters found{.class_number = class_number,
                        .name = run.data->class_names()[static_cast<size_t>(class_number)]};
    const SampleSet members{.name = found.name,
                            .files = {},
                            .data = run.data,
                            .indices = run.data->samples_by_class()[static_cast<size_t>(class_number)]};
    BACKLIGHT_CHECK(!members.indices.empty(), "spray: the data has no sample of class ", found.name);
    found.samples = members.indices;
    const auto method = build_method(run.method, run.context);
    std::vector<Tensor> parts;
    for_each_forward(run.model, members, run.batch_size, [&](const ExplainedForward& forward, int64_t first) {
        const int64_t rows = forward.logits().dim(0);
        BACKLIGHT_CHECK(class_number < forward.logits().dim(1), "spray: class ", found.name,
                        " has no output, the model has ", forward.logits().dim(1));
        const Tensor map = forward.explain(
            *method, {.targets = std::vector<int64_t>(static_cast<size_t>(rows), class_number),
                      .layers = {run.layer},
                      .numbers = {found.samples.begin() + first, found.samples.begin() + first + rows}});
        const NoGrad off;
        parts.push_back(map.rank() == 4 ? sum(Variable(map.to(DType::f64)), {3}).data() : map.to(DType::f64));
        const auto predicted = forward.predicted();
        found.predicted.insert(found.predicted.end(), predicted.begin(), predicted.end());
    });
    found.attributions = stacked(parts);
    found.result = spray(found.attributions, run.options);
    return found;
}

std::vector<size_t> ranking(const std::vector<ClassClusters>& found, const std::string& sort) {
    std::vector<size_t> order(found.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto score = [&](size_t i) {
        const SprayResult& r = found[i].result;
        return sort == "fisher"     ? r.fisher
               : r.gap.clusters > 1 ? r.gap.gap
                                    : 0.0;  // one part: nothing falls apart
    };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score(a) > score(b); });
    return order;
}

}  // namespace backlight
