#include "layers/layers.h"

#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "autograd/recording.h"
#include "core/error.h"
#include "core/profile.h"
#include "core/random.h"
#include "layers/recompute.h"

namespace backlight {
namespace {

std::string describe_convolution(std::string_view name, int64_t in, int64_t out,
                                 const std::array<int64_t, 2>& kernel, const Conv2dAttrs& attrs,
                                 PaddingMode padding_mode = PaddingMode::given) {
    std::string text = concat_text(name, '(', in, ", ", out, ", kernel ", kernel[0], 'x', kernel[1]);
    if (attrs.stride[0] != 1 || attrs.stride[1] != 1) {
        text += concat_text(", stride ", attrs.stride[0], 'x', attrs.stride[1]);
    }
    const Padding& p = attrs.padding;
    if (padding_mode == PaddingMode::same) {
        text += ", padding same";
    } else if (!(p == Padding())) {
        text += p == Padding(p.top, p.top)
                    ? concat_text(", padding ", p.top)
                    : concat_text(", padding ", p.top, '/', p.left, '/', p.bottom, '/', p.right);
    }
    if (attrs.dilation[0] != 1 || attrs.dilation[1] != 1) {
        text += concat_text(", dilation ", attrs.dilation[0], 'x', attrs.dilation[1]);
    }
    return text + (attrs.groups != 1 ? concat_text(", groups ", attrs.groups, ')') : std::string(")"));
}

void check_groups(int64_t in, int64_t out, int64_t groups) {
    BACKLIGHT_CHECK(in > 0 && out > 0 && groups > 0 && in % groups == 0 && out % groups == 0,
                    "convolution: channels ", in, " -> ", out, " are not divisible into ", groups, " groups");
}

void check_width(const Module& layer, const Module::Width& width, bool fits) {
    BACKLIGHT_CHECK(fits && width.in > 0 && width.out > 0, layer.describe(), ": cannot have the width ",
                    width.in, " -> ", width.out);
}

/// Of a linear layer: behind the flatten of an image, or, where that has no extents, of none.
FileLayout layout_behind(const Shape& image) {
    return image.rank() == 3 ? FileLayout{FileLayout::Kind::flattened_image, image} : FileLayout{};
}

std::unique_ptr<Module> function(std::string description, std::function<Variable(const Variable&)> f) {
    return std::make_unique<Function>(std::move(description), std::move(f));
}

template <typename Layer>
bool is(Module* module) {
    return dynamic_cast<Layer*>(module) != nullptr;
}

/// What a convolution can apply as it writes; none for a null module, empty for any other layer.
std::optional<Activation> fusable(Module* module) {
    if (module == nullptr) {
        return Activation::none;
    }
    if (is<Relu>(module)) {
        return Activation::relu;
    }
    return is<Relu6>(module) ? std::optional(Activation::relu6) : std::nullopt;
}

}  // namespace

Conv2d::Conv2d(const Config& config) : config_(config) {
    check_groups(config.in, config.out, config.attrs.groups);
    BACKLIGHT_CHECK(config.padding_mode == PaddingMode::given || config.attrs.padding == Padding(),
                    "Conv2d: padding is either given or same");
    add_parameter("weight", {config.out, config.kernel[0], config.kernel[1], config.in / config.attrs.groups},
                  {FileLayout::Kind::image_kernel, {}});
    if (config.bias) {
        add_parameter("bias", {config.out});
    }
}

std::string Conv2d::describe() const {
    return describe_convolution("Conv2d", config_.in, config_.out, config_.kernel, config_.attrs,
                                config_.padding_mode);
}

std::optional<Module::Width> Conv2d::width() const {
    return config_.attrs.groups == 1 ? std::optional(Width{config_.in, config_.out}) : std::nullopt;
}

void Conv2d::set_width(const Width& width) {
    check_width(*this, width, config_.attrs.groups == 1);
    config_.in = width.in;
    config_.out = width.out;
    replace_parameter(0, {config_.out, config_.kernel[0], config_.kernel[1], config_.in},
                      {FileLayout::Kind::image_kernel, {}});
    if (config_.bias) {
        replace_parameter(1, {config_.out});
    }
}

Conv2dAttrs Conv2d::attrs_for(const Shape& x) const {
    Conv2dAttrs attrs = config_.attrs;
    if (config_.padding_mode == PaddingMode::same && x.rank() == 4) {
        // The last of ceil(H / s) windows ends at (ceil(H / s) - 1) s + d (K - 1) + 1.
        const auto zeros = [&](int axis) {
            const auto i = static_cast<size_t>(axis);
            const int64_t in = x[axis + 1], stride = attrs.stride[i];
            const int64_t windows = (in + stride - 1) / stride;
            const int64_t end = (windows - 1) * stride + attrs.dilation[i] * (config_.kernel[i] - 1) + 1;
            return std::max<int64_t>(end - in, 0);
        };
        const int64_t rows = zeros(0), columns = zeros(1);
        attrs.padding = {rows / 2, columns / 2, rows - rows / 2, columns - columns / 2};
    }
    return attrs;
}

Variable Conv2d::forward(const Variable& x) {
    if (is_training()) {
        folded_ = {};  // its weights are about to change
    }
    return conv2d(x, parameter(0), config_.bias ? parameter(1) : Variable(), attrs_for(x.shape()));
}

Tensor Conv2d::infer(const Tensor& x, BatchNorm* norm, const ConvEpilogue& epilogue) {
    const NoGrad off;
    Tensor weight = parameter(0).data();
    Tensor bias = config_.bias ? parameter(1).data() : Tensor();
    if (norm != nullptr) {
        std::vector<Tensor> sources = norm->sources();
        sources.push_back(weight);
        if (bias.defined()) {
            sources.push_back(bias);
        }
        std::vector<uint64_t> made_from;
        for (const Tensor& source : sources) {
            made_from.push_back(source.storage_id());
            made_from.push_back(source.version());
        }
        if (folded_.made_from != made_from) {
            const auto [scale, shift] = norm->affine();
            folded_.weight = (Variable(weight) * reshape(Variable(scale), {config_.out, 1, 1, 1})).data();
            folded_.bias =
                bias.defined() ? (Variable(shift) + Variable(bias) * Variable(scale)).data() : shift;
            folded_.made_from = std::move(made_from);
        }
        weight = folded_.weight;
        bias = folded_.bias;
    }
    const Conv2dAttrs attrs = attrs_for(x.shape());
    Tensor y = Tensor::empty(conv2d_output_shape(attrs, x.shape(), weight.shape()), x.dtype(), x.device());
    BACKLIGHT_CHECK(wide_type(x.dtype()) == weight.dtype(), "conv2d: expected ", weight.dtype(),
                    " images, got ", x.dtype());
    const Span span("conv2d_fused");
    Span::count(static_cast<double>(y.numel()) * static_cast<double>(weight.numel() / weight.dim(0)));
    ConvEpilogue after = epilogue;
    after.residual = epilogue.residual.defined() ? epilogue.residual.to(x.dtype()) : Tensor();
    y.backend().conv2d_fused(attrs, x, weight, bias, after, y);
    return y;
}

ConvTranspose2d::ConvTranspose2d(const Config& config) : config_(config) {
    check_groups(config.in, config.out, config.attrs.groups);
    add_parameter("weight", {config.in, config.kernel[0], config.kernel[1], config.out / config.attrs.groups},
                  {FileLayout::Kind::image_kernel, {}});
    if (config.bias) {
        add_parameter("bias", {config.out});
    }
}

std::string ConvTranspose2d::describe() const {
    return describe_convolution("ConvTranspose2d", config_.in, config_.out, config_.kernel, config_.attrs);
}

Variable ConvTranspose2d::forward(const Variable& x) {
    return conv_transpose2d(x, parameter(0), config_.bias ? parameter(1) : Variable(), config_.attrs,
                            config_.output_padding);
}

Linear::Linear(const Config& config) : config_(config) {
    BACKLIGHT_CHECK(config.flattened_image.rank() != 3 || config.flattened_image.numel() == config.in,
                    "Linear: an image of shape ", config.flattened_image, " has not ", config.in,
                    " elements");
    add_parameter("weight", {config.out, config.in}, layout_behind(config.flattened_image));
    if (config.bias) {
        add_parameter("bias", {config.out});
    }
}

std::string Linear::describe() const { return concat_text("Linear(", config_.in, ", ", config_.out, ')'); }

void Linear::set_width(const Width& width) {
    Shape& image = config_.flattened_image;
    const int64_t positions = image.rank() == 3 ? image[0] * image[1] : 1;
    check_width(*this, width, width.in % positions == 0);
    config_.in = width.in;
    config_.out = width.out;
    if (image.rank() == 3) {
        image = image.with(2, width.in / positions);
    }
    replace_parameter(0, {config_.out, config_.in}, layout_behind(image));
    if (config_.bias) {
        replace_parameter(1, {config_.out});
    }
}

Variable Linear::forward(const Variable& x) {
    return linear(x, parameter(0), config_.bias ? parameter(1) : Variable());
}

BatchNorm::BatchNorm(const Config& config) : config_(config) {
    add_parameter("weight", {config.channels});
    add_parameter("bias", {config.channels});
    add_buffer("running_mean", Tensor::zeros({config.channels}));
    add_buffer("running_var", Tensor::ones({config.channels}));
    add_buffer("num_batches_tracked", Tensor::zeros({}, DType::i64));
}

std::string BatchNorm::describe() const { return concat_text("BatchNorm(", config_.channels, ')'); }

void BatchNorm::set_width(const Width& width) {
    check_width(*this, width, width.in == width.out);
    config_.channels = width.out;
    replace_parameter(0, {width.out});
    replace_parameter(1, {width.out});
    buffer(0) = Tensor::zeros({width.out}, buffer(0).dtype(), buffer(0).device());
    buffer(1) = Tensor::ones({width.out}, buffer(1).dtype(), buffer(1).device());
}

Variable BatchNorm::forward(const Variable& x) {
    if (!is_training()) {
        return batch_norm_affine(x, parameter(0), parameter(1), buffer(0), buffer(1), config_.eps);
    }
    BatchStatistics statistics;
    Variable y = batch_norm(x, parameter(0), parameter(1), config_.eps, statistics);
    update_running(statistics, x.numel() / config_.channels);
    return y;
}

Variable BatchNorm::forward_relu(const Variable& x, const Variable& residual) {
    BatchStatistics statistics;
    Variable y = batch_norm_relu(x, parameter(0), parameter(1), config_.eps, statistics, residual);
    update_running(statistics, x.numel() / config_.channels);
    return y;
}

BatchNorm::Affine BatchNorm::affine() {
    const NoGrad off;
    const Variable scale = parameter(0).detach() / sqrt(Variable(buffer(1)) + config_.eps);
    return {scale.data(), (parameter(1).detach() - Variable(buffer(0)) * scale).data()};
}

std::vector<Tensor> BatchNorm::sources() {
    return {parameter(0).data(), parameter(1).data(), buffer(0), buffer(1)};
}

void BatchNorm::update_running(const BatchStatistics& statistics, int64_t per_channel) {
    if (is_recomputing()) {
        return;  // this batch has already counted
    }
    Tensor& running_mean = buffer(0);
    Tensor& running_var = buffer(1);
    const NoGrad off;
    const auto count = static_cast<double>(per_channel);
    const double unbias = count / std::max(count - 1.0, 1.0);
    const double m = config_.momentum;
    running_mean = (Variable(running_mean) * (1.0 - m) + Variable(statistics.mean) * m).data();
    running_var = (Variable(running_var) * (1.0 - m) + Variable(statistics.variance) * (m * unbias)).data();
    buffer(2) = Tensor::full({}, buffer(2).item() + 1.0, DType::i64, buffer(2).device());
}

LayerNorm::LayerNorm(const Config& config) : config_(config) {
    add_parameter("weight", {config.features});
    add_parameter("bias", {config.features});
}

std::string LayerNorm::describe() const { return concat_text("LayerNorm(", config_.features, ')'); }

Variable LayerNorm::forward(const Variable& x) {
    return layer_norm(x, parameter(0), parameter(1), config_.eps);
}

GroupNorm::GroupNorm(const Config& config) : config_(config) {
    BACKLIGHT_CHECK(config.groups > 0 && config.channels % config.groups == 0, "GroupNorm: ", config.channels,
                    " channels are not divisible into ", config.groups, " groups");
    add_parameter("weight", {config.channels});
    add_parameter("bias", {config.channels});
}

std::string GroupNorm::describe() const {
    return concat_text("GroupNorm(", config_.groups, ", ", config_.channels, ')');
}

Variable GroupNorm::forward(const Variable& x) {
    return group_norm(x, config_.groups, parameter(0), parameter(1), config_.eps);
}

Variable Relu::forward(const Variable& x) { return relu(x); }
Variable Relu6::forward(const Variable& x) { return relu6(x); }

Variable conv_norm_relu(Module& conv, Module* norm, Module* activation, Variable x,
                        const Variable& residual) {
    auto* convolution = dynamic_cast<Conv2d*>(&conv);
    auto* batch_norm = dynamic_cast<BatchNorm*>(norm);
    const std::optional<Activation> fused = fusable(activation);
    const bool fits = convolution != nullptr && (norm == nullptr) == (batch_norm == nullptr) && fused;
    const bool unseen = Recording::current() == nullptr && !conv.has_hooks() &&
                        (norm == nullptr || (!norm->has_hooks() && !norm->is_training())) &&
                        (activation == nullptr || !activation->has_hooks());
    if (fits && unseen && !grad_enabled()) {
        const Tensor added = residual.defined() ? residual.data() : Tensor();
        return Variable(convolution->infer(PrecisionScope::narrowed(x).data(), batch_norm, {added, *fused}));
    }
    Variable y = conv(x);
    x = {};  // where nobody keeps it, its memory is free for what follows
    if (norm != nullptr && activation != nullptr) {
        return norm_relu(*norm, *activation, y, residual);
    }
    y = norm != nullptr ? (*norm)(y) : y;
    y = residual.defined() ? y + residual : y;
    return activation != nullptr ? (*activation)(y) : y;
}

Variable norm_relu(Module& norm, Module& activation, const Variable& x, const Variable& residual) {
    auto* batch_norm = dynamic_cast<BatchNorm*>(&norm);
    if (batch_norm != nullptr && norm.is_training() && dynamic_cast<Relu*>(&activation) != nullptr &&
        Recording::current() == nullptr && !norm.has_hooks() && !activation.has_hooks()) {
        return batch_norm->forward_relu(x, residual);
    }
    const Variable y = norm(x);
    return activation(residual.defined() ? y + residual : y);
}

std::unique_ptr<Module> make_relu() { return std::make_unique<Relu>(); }
std::unique_ptr<Module> make_relu6() { return std::make_unique<Relu6>(); }
std::unique_ptr<Module> make_leaky_relu(double slope) {
    return function(concat_text("LeakyReLU(", slope, ')'),
                    [slope](const Variable& x) { return leaky_relu(x, slope); });
}
std::unique_ptr<Module> make_elu(double alpha) {
    return function(concat_text("ELU(", alpha, ')'), [alpha](const Variable& x) { return elu(x, alpha); });
}
std::unique_ptr<Module> make_gelu() {
    return function("GELU", [](const Variable& x) { return gelu(x); });
}
std::unique_ptr<Module> make_silu() {
    return function("SiLU", [](const Variable& x) { return silu(x); });
}
std::unique_ptr<Module> make_sigmoid() {
    return function("Sigmoid", [](const Variable& x) { return sigmoid(x); });
}
std::unique_ptr<Module> make_tanh() {
    return function("Tanh", [](const Variable& x) { return tanh(x); });
}
std::unique_ptr<Module> make_softplus(double beta) {
    return function(concat_text("Softplus(", beta, ')'),
                    [beta](const Variable& x) { return softplus(x, beta); });
}
std::unique_ptr<Module> make_max_pool(const PoolAttrs& attrs) {
    return function(
        concat_text("MaxPool2d(", attrs.kernel[0], 'x', attrs.kernel[1], ", stride ", attrs.stride[0], ')'),
        [attrs](const Variable& x) { return max_pool2d(x, attrs); });
}
std::unique_ptr<Module> make_max_pool(int64_t size) {
    return make_max_pool({.kernel = {size, size}, .stride = {size, size}});
}
std::unique_ptr<Module> make_avg_pool(const PoolAttrs& attrs) {
    return function(
        concat_text("AvgPool2d(", attrs.kernel[0], 'x', attrs.kernel[1], ", stride ", attrs.stride[0], ')'),
        [attrs](const Variable& x) { return avg_pool2d(x, attrs); });
}
std::unique_ptr<Module> make_adaptive_avg_pool(int64_t height, int64_t width) {
    return function(concat_text("AdaptiveAvgPool2d(", height, 'x', width, ')'),
                    [=](const Variable& x) { return adaptive_avg_pool2d(x, height, width); });
}
std::unique_ptr<Module> make_global_avg_pool() { return make_adaptive_avg_pool(1, 1); }
std::unique_ptr<Module> make_flatten() {
    return function("Flatten", [](const Variable& x) { return flatten(x); });
}

Dropout::Dropout(double p) : p_(p) {
    BACKLIGHT_CHECK(p >= 0 && p < 1, "Dropout: expected 0 <= p < 1, got ", p);
}

std::string Dropout::describe() const { return concat_text("Dropout(", p_, ')'); }

Variable Dropout::forward(const Variable& x) {
    if (!is_training()) {
        return x;
    }
    RandomContext& context = RandomContext::current();
    return dropout(x, p_,
                   {.seed = context.seed,
                    .purpose = purpose::kDropout,
                    .step = context.step,
                    .sample = context.draws++});
}

Embedding::Embedding(int64_t vocabulary, int64_t features) {
    add_parameter("weight", {vocabulary, features});
}

std::string Embedding::describe() const {
    return concat_text("Embedding(", parameter(0).dim(0), ", ", parameter(0).dim(1), ')');
}

Variable Embedding::forward(const Variable& x) { return gather_rows(parameter(0), x.data().to(DType::i64)); }

Sequential& Sequential::add(std::string name, std::unique_ptr<Module> module) {
    add_module(std::move(name), std::move(module));
    return *this;
}

Sequential& Sequential::end_segment() {
    segment_ends_.push_back(child_count());
    return *this;
}

int64_t Sequential::set_recompute(bool on) {
    recompute_ = on;
    return static_cast<int64_t>(segment_ends_.size()) + Module::set_recompute(on);
}

Variable Sequential::forward(const Variable& x) {
    Variable y = x;
    size_t begin = 0;
    if (recompute_ && is_training()) {
        for (const size_t end : segment_ends_) {
            Variables parameters;
            for (size_t i = begin; i < end; ++i) {
                for (const Parameter& parameter : child(i).parameters()) {
                    parameters.push_back(parameter.value);
                }
            }
            y = recompute([this, begin, end](const Variable& input) { return run(begin, end, input); }, y,
                          parameters);
            begin = end;
        }
    }
    return run(begin, child_count(), y);
}

Variable Sequential::run(size_t begin, size_t end, const Variable& x) {
    Variable y = x;
    const auto at = [this, end](size_t i) { return i < end ? &child(i) : nullptr; };
    for (size_t i = begin; i < end; ++i) {  // convolution, norm and rectifier in a row go together
        if (!is<Conv2d>(at(i)) && !is<BatchNorm>(at(i))) {
            y = child(i)(y);
            continue;
        }
        Module* conv = is<Conv2d>(at(i)) ? &child(i) : nullptr;
        const size_t after = conv != nullptr ? i + 1 : i;
        Module* norm = is<BatchNorm>(at(after)) ? &child(after) : nullptr;
        const size_t last = norm != nullptr ? after + 1 : after;
        Module* activation = at(last) != nullptr && fusable(at(last)) ? &child(last) : nullptr;
        i = activation != nullptr ? last : last - 1;
        if (conv != nullptr) {
            y = conv_norm_relu(*conv, norm, activation, std::move(y));
        } else {
            y = activation != nullptr ? norm_relu(*norm, *activation, y) : (*norm)(y);
        }
    }
    return y;
}

Residual::Residual(std::unique_ptr<Module> body, std::unique_ptr<Module> shortcut) {
    add_module("body", std::move(body));
    if (shortcut != nullptr) {
        add_module("shortcut", std::move(shortcut));
    }
}

Variable Residual::forward(const Variable& x) {
    const Variable main = child(0)(x);
    return main + (child_count() > 1 ? child(1)(x) : x);
}

RandomContext& RandomContext::current() {
    thread_local RandomContext context;
    return context;
}

}  // namespace backlight
