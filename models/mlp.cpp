// Multilayer perceptrons as PyTorch's Sequential(Linear, ReLU, ..., Linear): parameters 0.weight,
// 0.bias, 2.weight, ... The toy networks of Weber et al., 2022, Appendix A are three of them. With dropout
// there is such a layer behind the first hidden one, and later numbers are one higher.
#include "autograd/functions.h"
#include "core/error.h"
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {
namespace {

/// Takes (N,D) and (N,1,1,D), also (N,H,W,C) with H W C = D.
class Mlp final : public Sequential {
public:
    [[nodiscard]] std::string describe() const override { return "Mlp"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override { return Sequential::forward(flatten(x)); }
};

Model mlp(int64_t in, const std::vector<int64_t>& widths, int64_t out, const Shape& image,
          double dropout = 0) {
    auto net = std::make_unique<Mlp>();
    int64_t features = in;
    Shape flattened = image;  // of the first layer only, whichever it is
    const auto add_linear = [&](int64_t width) {
        net->add(std::make_unique<Linear>(
            Linear::Config{.in = features, .out = width, .flattened_image = flattened}));
        features = width;
        flattened = {};
    };
    for (const int64_t width : widths) {
        add_linear(width);
        net->add(make_relu());
        if (dropout > 0 && net->modules().size() == 3) {  // itself, linear, ReLU
            net->add(std::make_unique<Dropout>(dropout));
        }
    }
    const std::string head = std::to_string(net->modules().size() - 1) + ".weight";
    add_linear(out);
    return {
        .net = std::move(net), .classes = out, .input = image.rank() == 3 ? image : Shape{in}, .head = head};
}

}  // namespace

Model build_mlp(const Options& options, int64_t classes) {
    const std::vector<int64_t> image = options.get("image", std::vector<int64_t>{});
    BACKLIGHT_CHECK(image.empty() || image.size() == 3, "mlp: expected image=H:W:C, got ", image.size(),
                    " extents");
    for (const int64_t extent : image) {
        BACKLIGHT_CHECK(extent > 0 && extent <= int64_t{1} << 16,
                        "mlp: expected 0 < H, W, C <= 65536 in image=H:W:C, got ", extent);
    }
    const Shape image_shape{std::span<const int64_t>(image)};
    const int64_t in = options.get_within("in", image.empty() ? 2 : image_shape.numel(), 1, int64_t{1} << 24);
    const std::vector<int64_t> widths = options.get("widths", std::vector<int64_t>{64});
    const int64_t out = options.get_within("out", classes > 0 ? classes : 2, 1, int64_t{1} << 24);
    for (const int64_t width : widths) {
        BACKLIGHT_CHECK(width > 0 && width <= int64_t{1} << 24, "mlp: expected 0 < widths <= 16777216, got ",
                        width);
    }
    BACKLIGHT_CHECK(classes == 0 || out == classes, "mlp: out=", out, " but ", classes,
                    " classes were asked for");
    const double dropout = options.get_within("dropout", 0.0, 0.0, 0.99);
    BACKLIGHT_CHECK(dropout == 0 || !widths.empty(), "mlp: dropout needs a hidden layer");
    const bool small = options.choose("init", "pytorch", {"pytorch", "small_normal"}) == "small_normal";
    Model model = mlp(in, widths, out, image_shape, dropout);
    model.init = small ? Init::small_normal : Init::pytorch;
    return model;
}

Model build_toy1(const Options&, int64_t classes) {
    return mlp(5, {64, 32, 16}, classes > 0 ? classes : 2, {});
}
Model build_toy2(const Options&, int64_t classes) { return mlp(4, {5}, classes > 0 ? classes : 2, {}); }
Model build_toy3(const Options&, int64_t classes) { return mlp(2, {}, classes > 0 ? classes : 2, {}); }

}  // namespace backlight
