// backlight predict: logits of a batch.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>

#include "apps/checks.h"
#include "apps/commands.h"
#include "apps/input.h"
#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "train/trainer.h"

namespace backlight::apps {

Run add_predict(CLI::App& app, const Common&) {
    struct Config {
        std::string model, weights, input, out, precision = "f32", normalize = "weights";
        int64_t classes = 0, batch_size = 64, top = 3;
    };
    CLI::App* cmd = app.add_subcommand("predict", "Logits of a batch of samples");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)")->required();
    cmd->add_option("--weights", c->weights, "Weights (safetensors)")->required();
    cmd->add_option("--input", c->input, "X.npy (N,H,W,C) or (N,D), used as it is, or a picture")->required();
    cmd->add_option("--out", c->out, "Logits (N,K) as .npy")->required();
    cmd->add_option("--classes", c->classes, "Number of outputs; 0: as the weights have");
    cmd->add_option("--batch-size", c->batch_size, "Samples at once")->check(at_least_one());
    cmd->add_option("--precision", c->precision, "f32, bf16 (convolutions on bfloat16), or f64")
        ->check(CLI::IsMember({"f32", "bf16", "f64"}));
    add_normalize_option(*cmd, c->normalize);
    cmd->add_option("--top", c->top, "Classes to print a sample")->check(at_least_zero());
    return [c] {
        BACKLIGHT_CHECK(c->out.ends_with(".npy"), "--out: expected a file name that ends in .npy, got ",
                        c->out);
        check_output("--out", c->out);
        const DType dtype = c->precision == "f64" ? DType::f64 : DType::f32;
        LoadedModel loaded = load_model(c->model, c->classes, c->weights, dtype);
        const std::string assumed = choose_normalization(loaded, c->normalize);
        if (!assumed.empty() && !c->input.ends_with(".npy")) {
            std::cout << assumed << "\n";
        }
        const Tensor x = read_input(c->input, loaded.model, dtype);
        const PrecisionScope scope(c->precision == "bf16" ? DType::bf16 : DType::f32);
        const Tensor logits = predict(*loaded.model.net, x, c->batch_size);
        BACKLIGHT_CHECK(sum(1.0 - Variable(mask(UnaryOp::is_finite, logits))).item() == 0, c->input,
                        ": the logits are not finite: the values overflow in this network");
        write_npy(c->out, logits);
        const int64_t top = std::min(c->top, logits.dim(-1));
        if (top > 0) {
            const NoGrad off;
            const auto [values, index] =
                top_k((loaded.multi_label ? sigmoid(logits) : softmax(logits)).data(), top);
            const auto p = values.to(DType::f64).to_vector<double>();
            const auto k = index.to_vector<int64_t>();
            constexpr int64_t kShown = 10;
            for (int64_t n = 0; n < std::min(logits.dim(0), kShown); ++n) {
                std::cout << "sample " << n << ":";
                for (int64_t i = n * top; i < (n + 1) * top; ++i) {
                    const auto at = static_cast<size_t>(i);
                    const auto name = static_cast<size_t>(k[at]) < loaded.class_names.size()
                                          ? loaded.class_names[static_cast<size_t>(k[at])]
                                          : "class " + std::to_string(k[at]);
                    std::cout << "  " << name << ' ' << std::fixed << std::setprecision(4) << p[at];
                }
                std::cout << "\n";
            }
            if (logits.dim(0) > kShown) {
                std::cout << "... and " << logits.dim(0) - kShown << " more\n";
            }
        }
        std::cout << "written: " << c->out << ' ' << logits.shape() << "\n";
        return 0;
    };
}

}  // namespace backlight::apps
