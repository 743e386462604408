#include "apps/explain_output.h"

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "core/io/safetensors.h"
#include "layers/state.h"
#include "report/contact_sheet.h"
#include "report/heatmap.h"
#include "report/reduce.h"

namespace backlight::apps {

void print_sums(std::ostream& out, const Explanation& found, const Tensor& logits,
                const std::vector<int64_t>& targets, const Explainer& method, const std::string& start) {
    const NoGrad off;
    const Tensor relevance = found.maps[0].data();
    const Tensor per_sample = sum(flatten(Variable(relevance.to(DType::f64))), {1}).data();
    const auto sums = per_sample.to_vector<double>();
    const auto scores = logits.to(DType::f64).to_vector<double>();
    const auto classes = static_cast<size_t>(logits.dim(1));
    constexpr size_t kShown = 10;
    for (size_t n = 0; n < std::min(sums.size(), kShown); ++n) {
        out << method.name() << " (start=" << start << ") sample " << n << std::setprecision(9);
        if (!targets.empty()) {
            out << " target " << targets[n] << ": sum " << sums[n] << "  logit "
                << scores[n * classes + static_cast<size_t>(targets[n])];
        } else {
            out << ": sum " << sums[n];
        }
        if (!found.expected.empty()) {
            const double target = found.expected[n], gap = sums[n] - target;
            out << "  should be " << target << "  gap " << gap << std::setprecision(3) << " ("
                << 100 * std::abs(gap) / std::max(std::abs(target), 1e-8) << " %)";
        }
        out << "\n";
    }
    if (sums.size() > kShown) {
        out << "... and " << sums.size() - kShown << " more samples\n";
    }
    for (const std::string& note : found.notes) {
        out << note << "\n";
    }
}

std::function<void(const NodeView&, const Variable&, const Variables&)> ConservationTable::watch() {
    return [this](const NodeView& node, const Variable& arrived, const Variables& sent) {
        const NoGrad off;
        double total = 0;
        for (const Variable& part : sent) {
            total += part.defined() ? sum(Variable(part.data().to(DType::f64))).item() : 0;
        }
        const Row row{node.name(), std::string(node.kind()),
                      sum(Variable(arrived.data().to(DType::f64))).item(), total};
        if (passes_.empty() || (row.layer == passes_.back()[0].layer && row.op == passes_.back()[0].op)) {
            passes_.emplace_back();  // the output again: another pass
        }
        passes_.back().push_back(row);
    };
}

void ConservationTable::print(std::ostream& out) const {
    if (passes_.empty()) {
        out << "conservation: the method does not follow relevance from op to op\n";
    }
    for (size_t i = 0; i < passes_.size(); ++i) {
        out << "relevance of all samples, from the output on";
        if (passes_.size() > 1) {
            out << ", pass " << i + 1 << " of " << passes_.size();
        }
        out << ":\n"
            << std::left << std::setw(36) << "layer" << std::setw(22) << "op" << std::right << std::setw(16)
            << "arrived" << std::setw(16) << "sent" << std::setw(16) << "absorbed"
            << "\n";
        for (const Row& row : passes_[i]) {
            out << std::left << std::setw(36) << row.layer << std::setw(22) << row.op << std::right
                << std::setprecision(7) << std::setw(16) << row.arrived << std::setw(16) << row.sent
                << std::setw(16) << row.arrived - row.sent << "\n";
        }
    }
}

namespace {

Tensor pixels(const Tensor& map, report::Reduce reduce, int64_t n) {
    return report::batch_item(report::reduce_channels(map.to(DType::f32), reduce), n);
}

/// Pictures of the maps, one column a target, one row a sample.
Tensor draw(const ExplainCall& c, const Tensor& x, const std::vector<Tensor>& maps) {
    BACKLIGHT_CHECK(maps[0].rank() == 4,
                    "--out: a picture needs a relevance of shape (N,H,W,C), this one is ", maps[0].shape(),
                    "; write .npy");
    const report::Reduce reduce = report::parse_reduce(c.reduce.empty() ? "sum" : c.reduce);
    report::HeatmapOptions heatmap{.colormap = c.colormap, .percentile = c.percentile};
    const auto low = amin(Variable(x.to(DType::f64))).item();
    const auto high = amax(Variable(x.to(DType::f64))).item();
    std::vector<std::vector<Tensor>> rows;
    for (int64_t n = 0; n < maps[0].dim(0); ++n) {
        std::vector<Tensor> row;
        for (const Tensor& map : maps) {
            const Tensor relevance = pixels(map, reduce, n);
            const bool drawable = x.rank() == 4 && (x.dim(3) == 1 || x.dim(3) == 3);
            if (c.view == "raw" || !drawable) {
                row.push_back(report::heatmap_image(relevance, heatmap));
                continue;
            }
            const Tensor image =
                report::picture(report::batch_item(x.to(DType::f32), n), low, std::max(high, low + 1e-9));
            const Tensor over = report::overlay(image, relevance, {.heatmap = heatmap});
            row.push_back(c.view == "side"
                              ? report::side_by_side({image, report::heatmap_image(relevance, heatmap), over})
                              : over);
        }
        rows.push_back(row);
    }
    // Small pictures grow by a whole factor, so that each of their pixels can be seen.
    const int64_t factor = std::max<int64_t>(1, 256 / std::max<int64_t>(x.rank() == 4 ? x.dim(1) : 1, 1));
    for (auto& row : rows) {
        for (Tensor& picture : row) {
            picture = report::enlarge(picture, factor);
        }
    }
    return rows.size() == 1 && rows[0].size() == 1 ? rows[0][0] : report::grid(rows);
}

/// As --reduce and --norm ask; in double precision as it is. `layer` empty: of the input.
Tensor finished(const ExplainCall& c, const Tensor& map, const std::string& layer) {
    if (c.reduce.empty() && c.norm == "none") {
        return map;
    }
    BACKLIGHT_CHECK(map.rank() == 4, "--reduce and --norm: need a relevance of shape (N,H,W,C), this one",
                    layer.empty() ? "" : " of layer " + layer, " is ", map.shape());
    const Tensor reduced =
        c.reduce.empty() ? map.to(DType::f32) : report::reduce_channels(map, report::parse_reduce(c.reduce));
    return report::normalize(reduced, report::parse_normalize(c.norm));
}

}  // namespace

void write_maps(const ExplainCall& c, const Tensor& x, const std::vector<Explanation>& found,
                const std::vector<std::string>& layers) {
    if (c.out.ends_with(".png")) {
        std::vector<Tensor> maps;
        for (const Explanation& e : found) {
            maps.push_back(e.maps[0].data());
        }
        write_png(c.out, draw(c, x, maps));
        return;
    }
    const auto of_layer = [&](size_t layer) {
        const std::string name = layers.empty() ? "" : layers[layer];
        if (c.target != "all") {
            return finished(c, found[0].maps[layer].data(), name);
        }
        Variables stacked;
        for (const Explanation& e : found) {
            const Tensor map = finished(c, e.maps[layer].data(), name);
            Shape shape{1};
            for (const int64_t extent : map.shape()) {
                shape.push_back(extent);
            }
            stacked.emplace_back(map.reshape(shape));
        }
        return concat(stacked, 0).data();
    };
    if (c.out.ends_with(".npy")) {
        write_npy(c.out, of_layer(0));
        return;
    }
    std::map<std::string, Tensor> tensors;
    for (size_t i = 0; i < layers.size(); ++i) {
        tensors[layers[i]] = of_layer(i);
    }
    if (layers.empty()) {
        tensors["input"] = of_layer(0);
    }
    write_safetensors(c.out, tensors);
}

void write_parameters(const std::string& file, const Explanation& found, const Module& net) {
    std::map<std::string, FileLayout> layouts;
    for (const Parameter& parameter : net.parameters()) {
        layouts[parameter.name] = parameter.layout;
    }
    std::map<std::string, Tensor> tensors;
    for (const auto& [layer, relevance] : found.parameters) {
        const std::string weight = layer + ".weight";
        tensors[weight] = to_file_layout(relevance.weight.data(), layouts[weight]);
        if (relevance.bias.defined()) {
            tensors[layer + ".bias"] = relevance.bias.data();
        }
    }
    write_safetensors(file, tensors);
}

}  // namespace backlight::apps
