// What `backlight explain --out` prints and writes: sums, what each op absorbed, arrays, pictures, relevance
// of weights.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "explain/explainer.h"

namespace backlight::apps {

/// The options of the command.
struct ExplainCall {
    std::string model, weights, input, data, split = "test", out, out_dir, precision = "f32";
    std::vector<std::string> methods, layers;
    std::string composite, target = "predicted", start, neuron, background, parameters;
    std::string reduce, norm = "none", normalize = "weights", colormap = "blue-white-red", view = "overlay";
    double percentile = 99.5;
    int64_t classes = 0, limit = 0, background_size = 20, shown = 8;
    uint64_t seed = 0;
    bool conservation = false, no_pictures = false;
};

/// Prints sum, explained logit and gap of each sample; the gap is that to what the sum should be.
void print_sums(std::ostream& out, const Explanation& found, const Tensor& logits,
                const std::vector<int64_t>& targets, const Explainer& method, const std::string& start);

/// What arrived at each node, what it sent on, and what stayed: the bias and the stabilizer take it. A method
/// of several passes has a table for each.
class ConservationTable {
public:
    [[nodiscard]] std::function<void(const NodeView&, const Variable&, const Variables&)> watch();
    void print(std::ostream& out) const;

private:
    struct Row {
        std::string layer, op;
        double arrived, sent;
    };
    std::vector<std::vector<Row>> passes_;
};

/// The file of `--out`, by the end of its name. In .safetensors each map has its layer's name, that of the
/// input, where no layer is asked for, the name "input".
void write_maps(const ExplainCall& call, const Tensor& x, const std::vector<Explanation>& found,
                const std::vector<std::string>& layers);

/// In the names and the layout of weight files, so that each value stands where its weight does.
void write_parameters(const std::string& file, const Explanation& found, const Module& net);

}  // namespace backlight::apps
