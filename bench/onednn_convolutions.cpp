// Times oneDNN's convolutions on every distinct layer of ResNet-50 and VGG-16.
//
// For each layer and each of the three passes of training (forward, backward by data, backward by weights)
// several ways of asking oneDNN for the same result are compared:
//
//   nhwc/direct    activations in nhwc, weights as oneDNN likes, direct
//   nhwc/auto      the same with the algorithm left to oneDNN
//   any/auto       activations in oneDNN's favourite format as well
//   any/winograd   the Winograd algorithm, where the library has it
//
// A variant whose activations are not nhwc is reported twice: by itself, and with the reorders that a
// framework with nhwc tensors would need around it ("+reorder"). "rule" is the choice that was made from the
// results. The reorder of the weights from their plain format (or, for the weights' gradient, back to it) is
// common to all variants and is reported in a column of its own.
//
// The program compiles against oneDNN 2.6 and 3.x. See docs/onednn.md for the commands, the results and the
// decision.

#include <oneapi/dnnl/dnnl_version.h>
#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using dnnl::algorithm;
using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

// ---------------------------------------------------------------- the layers

struct Layer {
    const char* network;
    const char* name;
    int count;  // how often the network has this shape
    int in, out;
    int size;  // height and width of the input
    int kernel, stride, pad;

    int out_size() const { return (size + 2 * pad - kernel) / stride + 1; }
    double flops(int batch) const {
        return 2.0 * batch * in * out * kernel * kernel * out_size() * out_size();
    }
    // Nobody asks for the gradient of the images.
    bool is_first() const { return in == 3; }
};

const std::vector<Layer> layers = {
    {"resnet50", "conv1 7x7/2", 1, 3, 64, 224, 7, 2, 3},
    {"resnet50", "s1 1x1 64-64", 1, 64, 64, 56, 1, 1, 0},
    {"resnet50", "s1 3x3 64", 3, 64, 64, 56, 3, 1, 1},
    {"resnet50", "s1 1x1 64-256", 4, 64, 256, 56, 1, 1, 0},  // three and the shortcut
    {"resnet50", "s1 1x1 256-64", 2, 256, 64, 56, 1, 1, 0},
    {"resnet50", "s2 1x1 256-128", 1, 256, 128, 56, 1, 1, 0},
    {"resnet50", "s2 3x3/2 128", 1, 128, 128, 56, 3, 2, 1},
    {"resnet50", "s2 1x1/2 256-512", 1, 256, 512, 56, 1, 2, 0},
    {"resnet50", "s2 1x1 128-512", 4, 128, 512, 28, 1, 1, 0},
    {"resnet50", "s2 1x1 512-128", 3, 512, 128, 28, 1, 1, 0},
    {"resnet50", "s2 3x3 128", 3, 128, 128, 28, 3, 1, 1},
    {"resnet50", "s3 1x1 512-256", 1, 512, 256, 28, 1, 1, 0},
    {"resnet50", "s3 3x3/2 256", 1, 256, 256, 28, 3, 2, 1},
    {"resnet50", "s3 1x1/2 512-1024", 1, 512, 1024, 28, 1, 2, 0},
    {"resnet50", "s3 1x1 256-1024", 6, 256, 1024, 14, 1, 1, 0},
    {"resnet50", "s3 1x1 1024-256", 5, 1024, 256, 14, 1, 1, 0},
    {"resnet50", "s3 3x3 256", 5, 256, 256, 14, 3, 1, 1},
    {"resnet50", "s4 1x1 1024-512", 1, 1024, 512, 14, 1, 1, 0},
    {"resnet50", "s4 3x3/2 512", 1, 512, 512, 14, 3, 2, 1},
    {"resnet50", "s4 1x1/2 1024-2048", 1, 1024, 2048, 14, 1, 2, 0},
    {"resnet50", "s4 1x1 512-2048", 3, 512, 2048, 7, 1, 1, 0},
    {"resnet50", "s4 1x1 2048-512", 2, 2048, 512, 7, 1, 1, 0},
    {"resnet50", "s4 3x3 512", 2, 512, 512, 7, 3, 1, 1},
    {"vgg16", "1.1 3-64", 1, 3, 64, 224, 3, 1, 1},
    {"vgg16", "1.2 64-64", 1, 64, 64, 224, 3, 1, 1},
    {"vgg16", "2.1 64-128", 1, 64, 128, 112, 3, 1, 1},
    {"vgg16", "2.2 128-128", 1, 128, 128, 112, 3, 1, 1},
    {"vgg16", "3.1 128-256", 1, 128, 256, 56, 3, 1, 1},
    {"vgg16", "3.2 256-256", 2, 256, 256, 56, 3, 1, 1},
    {"vgg16", "4.1 256-512", 1, 256, 512, 28, 3, 1, 1},
    {"vgg16", "4.2 512-512", 2, 512, 512, 28, 3, 1, 1},
    {"vgg16", "5.x 512-512", 3, 512, 512, 14, 3, 1, 1},
};

// --------------------------------------------------------------- the variants

enum class Pass { forward, backward_data, backward_weights };
constexpr Pass passes[] = {Pass::forward, Pass::backward_data, Pass::backward_weights};

const char* name_of(Pass pass) {
    switch (pass) {
        case Pass::forward:
            return "forward";
        case Pass::backward_data:
            return "bwd-data";
        case Pass::backward_weights:
            return "bwd-weights";
    }
    return "?";
}

struct Variant {
    const char* name;
    bool nhwc;  // activations fixed to nhwc; otherwise oneDNN's choice
    algorithm how;
};

const std::vector<Variant> variants = {
    {"nhwc/direct", true, algorithm::convolution_direct},
    {"nhwc/auto", true, algorithm::convolution_auto},
    {"any/auto", false, algorithm::convolution_auto},
    {"any/winograd", false, algorithm::convolution_winograd},
};

struct Options {
    int batch = 8;
    int repetitions = 7;
    double seconds_per_case = 1.5;  // fewer repetitions when these are used up (at least 3)
    Tag weights = Tag::oihw;        // the framework's plain format of weights
    bool user_scratchpad = false;
    std::string csv;
    std::string only;  // substring of network or layer
};

// -------------------------------------------- the difference between 2.x and 3

// oneDNN 3 dropped the operation descriptors ("desc"): their arguments went to
// the primitive descriptor, whose argument order changed as well. An empty
// descriptor means that the library has no such implementation.
#if DNNL_VERSION_MAJOR >= 3
#define MAKE_DESCRIPTOR(Primitive, engine, attributes, ...) \
    Primitive::primitive_desc(engine, __VA_ARGS__, attributes, true)
#define MAKE_BACKWARD(Primitive, engine, attributes, hint, ...) \
    Primitive::primitive_desc(engine, __VA_ARGS__, hint, attributes, true)
#else
#define MAKE_DESCRIPTOR(Primitive, engine, attributes, ...) \
    Primitive::primitive_desc(Primitive::desc(__VA_ARGS__), attributes, engine, true)
#define MAKE_BACKWARD(Primitive, engine, attributes, hint, ...) \
    Primitive::primitive_desc(Primitive::desc(__VA_ARGS__), attributes, engine, hint, true)
#endif

// -------------------------------------------------------------------- helpers

double now_ms() {
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

struct Samples {
    std::vector<double> ms;

    double min() const { return ms.empty() ? 0 : *std::min_element(ms.begin(), ms.end()); }
    double median() const {
        if (ms.empty()) return 0;
        auto sorted = ms;
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2];
    }
};

struct Machine {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};

// A primitive with its arguments, and the times it took.
struct Step {
    dnnl::primitive primitive;
    Arguments arguments;
    Samples samples;

    void run(Machine& machine) {
        primitive.execute(machine.stream, arguments);
        machine.stream.wait();
    }
    void measure(Machine& machine) {
        const double start = now_ms();
        run(machine);
        samples.ms.push_back(now_ms() - start);
    }
};

Step reorder_step(const memory& from, const memory& to) {
    return {dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, {}};
}

std::size_t elements(const memory::desc& desc) { return desc.get_size() / sizeof(float); }

// Reproducible numbers in [-0.5, 0.5).
void fill(const memory& target, std::uint32_t state) {
    float* data = target.map_data<float>();
    const std::size_t n = elements(target.get_desc());
    for (std::size_t i = 0; i < n; ++i) {
        state = state * 1664525u + 1013904223u;
        data[i] = static_cast<float>(state >> 8) * (1.0f / 16777216.0f) - 0.5f;
    }
    target.unmap_data(data);
}

std::vector<float> values(const memory& source) {
    std::vector<float> copy(elements(source.get_desc()));
    float* data = source.map_data<float>();
    std::memcpy(copy.data(), data, copy.size() * sizeof(float));
    source.unmap_data(data);
    return copy;
}

// Largest difference in units of the largest value.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
    float worst = 0, scale = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        worst = std::max(worst, std::abs(a[i] - b[i]));
        scale = std::max(scale, std::abs(b[i]));
    }
    return scale > 0 ? worst / scale : 0;
}

const char* layout_name(const memory::desc& desc, const memory::dims& dims) {
    constexpr std::pair<Tag, const char*> known[] = {
        {Tag::nhwc, "nhwc"}, {Tag::nchw, "nchw"}, {Tag::nChw16c, "nChw16c"}, {Tag::nChw8c, "nChw8c"}};
    for (const auto& [tag, name] : known)
        if (desc == memory::desc(dims, memory::data_type::f32, tag)) return name;
    return "other";
}

// ---------------------------------------------------------- one way to compute

// What oneDNN chose for one request.
struct Plan {
    dnnl::primitive primitive;
    memory::desc source, weights, target, scratchpad;
    std::string implementation;
    double create_ms = 0;  // first creation, code generation included
};

struct Geometry {
    memory::dims source, weights, target, strides, padding;

    Geometry(const Layer& layer, int batch)
        : source{batch, layer.in, layer.size, layer.size},
          weights{layer.out, layer.in, layer.kernel, layer.kernel},
          target{batch, layer.out, layer.out_size(), layer.out_size()},
          strides{layer.stride, layer.stride},
          padding{layer.pad, layer.pad} {}
};

template <typename Primitive, typename Descriptor>
void finish(Plan& plan, const Descriptor& descriptor) {
    plan.primitive = Primitive(descriptor);
    plan.implementation = descriptor.impl_info_str();
    plan.scratchpad = descriptor.scratchpad_desc();
}

std::optional<Plan> make_plan(Machine& machine, const Geometry& g, Pass pass, const Variant& variant,
                              const Options& options) try {
    constexpr auto f32 = memory::data_type::f32;
    const Tag activations = variant.nhwc ? Tag::nhwc : Tag::any;
    const memory::desc source(g.source, f32, activations);
    const memory::desc weights(g.weights, f32, Tag::any);
    const memory::desc target(g.target, f32, activations);
    dnnl::primitive_attr attributes;
    if (options.user_scratchpad) attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);

    const double start = now_ms();
    auto forward_with = [&](algorithm how) {
        return MAKE_DESCRIPTOR(dnnl::convolution_forward, machine.engine, attributes,
                               dnnl::prop_kind::forward_training, how, source, weights, target, g.strides,
                               g.padding, g.padding);
    };
    auto forward = forward_with(variant.how);
    Plan plan;
    if (pass == Pass::forward) {
        if (!forward) return std::nullopt;
        finish<dnnl::convolution_forward>(plan, forward);
        plan.source = forward.src_desc();
        plan.weights = forward.weights_desc();
        plan.target = forward.dst_desc();
    } else {
        // The backward passes want a forward descriptor as a hint.
        if (!forward) forward = forward_with(algorithm::convolution_direct);
        if (pass == Pass::backward_data) {
            auto descriptor =
                MAKE_BACKWARD(dnnl::convolution_backward_data, machine.engine, attributes, forward,
                              variant.how, source, weights, target, g.strides, g.padding, g.padding);
            if (!descriptor) return std::nullopt;
            finish<dnnl::convolution_backward_data>(plan, descriptor);
            plan.source = descriptor.diff_src_desc();
            plan.weights = descriptor.weights_desc();
            plan.target = descriptor.diff_dst_desc();
        } else {
            auto descriptor =
                MAKE_BACKWARD(dnnl::convolution_backward_weights, machine.engine, attributes, forward,
                              variant.how, source, weights, target, g.strides, g.padding, g.padding);
            if (!descriptor) return std::nullopt;
            finish<dnnl::convolution_backward_weights>(plan, descriptor);
            plan.source = descriptor.src_desc();
            plan.weights = descriptor.diff_weights_desc();
            plan.target = descriptor.diff_dst_desc();
        }
    }
    plan.create_ms = now_ms() - start;
    return plan;
} catch (const dnnl::error&) {
    return std::nullopt;  // some versions throw instead of returning an empty descriptor
}

// A plan with its memory, between tensors in the framework's formats: nhwc
// activations and plain weights.
struct Execution {
    Step convolution;
    std::vector<Step> activation_reorders, weight_reorders;
    std::vector<Step*> before, after;  // the same reorders, as the execution needs them

    void run(Machine& machine) {
        for (Step* step : before) step->run(machine);
        convolution.run(machine);
        for (Step* step : after) step->run(machine);
    }
    void measure(Machine& machine) {
        for (Step* step : before) step->measure(machine);
        convolution.measure(machine);
        for (Step* step : after) step->measure(machine);
    }
};

struct Plain {
    memory source, weights, target;
};

// One result of the comparison, in milliseconds per layer.
struct Result {
    std::string implementation, layout;
    double convolution_min = 0, convolution_median = 0;
    double activations_min = 0, activations_median = 0;
    double weights_min = 0;
    double create_ms = 0;
    double error = 0;
    std::size_t scratchpad = 0;
};

void bind(Execution& execution, Machine& machine, const Plan& plan, const Plain& plain, Pass pass,
          bool user_scratchpad) {
    // Both vectors are filled below and pointed into: no reallocation.
    execution.activation_reorders.reserve(2);
    execution.weight_reorders.reserve(1);
    auto bound = [&](const memory& ours, const memory::desc& wanted, bool is_output,
                     std::vector<Step>& reorders) {
        if (wanted == ours.get_desc()) return ours;
        memory theirs(wanted, machine.engine);
        reorders.push_back(is_output ? reorder_step(theirs, ours) : reorder_step(ours, theirs));
        (is_output ? execution.after : execution.before).push_back(&reorders.back());
        return theirs;
    };
    auto& activations = execution.activation_reorders;
    const memory source = bound(plain.source, plan.source, pass == Pass::backward_data, activations);
    const memory target = bound(plain.target, plan.target, pass == Pass::forward, activations);
    const memory weights =
        bound(plain.weights, plan.weights, pass == Pass::backward_weights, execution.weight_reorders);

    auto& arguments = execution.convolution.arguments;
    switch (pass) {
        case Pass::forward:
            arguments = {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, target}};
            break;
        case Pass::backward_data:
            arguments = {
                {DNNL_ARG_DIFF_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_DST, target}};
            break;
        case Pass::backward_weights:
            arguments = {
                {DNNL_ARG_SRC, source}, {DNNL_ARG_DIFF_WEIGHTS, weights}, {DNNL_ARG_DIFF_DST, target}};
            break;
    }
    if (user_scratchpad) arguments.insert({DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad, machine.engine)});
    execution.convolution.primitive = plan.primitive;
}

// Results by variant; a variant that oneDNN does not have is absent.
using Comparison = std::map<std::string, Result>;

Comparison compare(Machine& machine, const Layer& layer, Pass pass, const Options& options) {
    constexpr auto f32 = memory::data_type::f32;
    const Geometry g(layer, options.batch);
    const Plain plain{
        memory(memory::desc(g.source, f32, Tag::nhwc), machine.engine),
        memory(memory::desc(g.weights, f32, options.weights), machine.engine),
        memory(memory::desc(g.target, f32, Tag::nhwc), machine.engine),
    };
    fill(plain.source, 1);
    fill(plain.weights, 2);
    fill(plain.target, 3);
    const memory& output = pass == Pass::forward         ? plain.target
                           : pass == Pass::backward_data ? plain.source
                                                         : plain.weights;

    // Variants that led to the same implementation and formats share their
    // measurement.
    struct Candidate {
        Plan plan;
        Execution execution;
        std::vector<std::string> names;
        double error = 0;
    };
    std::vector<std::unique_ptr<Candidate>> candidates;
    for (const Variant& variant : variants) {
        auto plan = make_plan(machine, g, pass, variant, options);
        if (!plan) continue;
        auto same = [&](const auto& other) {
            return other->plan.implementation == plan->implementation && other->plan.source == plan->source &&
                   other->plan.weights == plan->weights && other->plan.target == plan->target;
        };
        auto found = std::find_if(candidates.begin(), candidates.end(), same);
        if (found == candidates.end()) {
            auto fresh = std::make_unique<Candidate>();
            fresh->plan = std::move(*plan);
            bind(fresh->execution, machine, fresh->plan, plain, pass, options.user_scratchpad);
            candidates.push_back(std::move(fresh));
            found = candidates.end() - 1;
        }
        (*found)->names.push_back(variant.name);
    }

    // Warm up and check the variants against the first one.
    std::vector<float> expected;
    for (auto& candidate : candidates) {
        candidate->execution.run(machine);
        auto actual = values(output);
        if (expected.empty())
            expected = std::move(actual);
        else
            candidate->error = difference(actual, expected);
    }

    // The candidates take turns, so that a disturbance meets all of them.
    const double start = now_ms();
    for (int i = 0; i < options.repetitions; ++i) {
        if (i >= 3 && now_ms() - start > options.seconds_per_case * 1000) break;
        for (auto& candidate : candidates) candidate->execution.measure(machine);
    }

    Comparison comparison;
    for (const auto& candidate : candidates) {
        Result result;
        result.implementation = candidate->plan.implementation;
        result.layout = std::string(layout_name(candidate->plan.source, g.source)) + ">" +
                        layout_name(candidate->plan.target, g.target);
        result.create_ms = candidate->plan.create_ms;
        result.error = candidate->error;
        result.scratchpad = candidate->plan.scratchpad.get_size();
        const Execution& execution = candidate->execution;
        result.convolution_min = execution.convolution.samples.min();
        result.convolution_median = execution.convolution.samples.median();
        for (const Step& step : execution.activation_reorders) {
            result.activations_min += step.samples.min();
            result.activations_median += step.samples.median();
        }
        for (const Step& step : execution.weight_reorders) result.weights_min += step.samples.min();
        for (const auto& name : candidate->names) comparison[name] = result;
    }
    return comparison;
}

// The rule that the results led to (docs/onednn.md): activations stay nhwc, except that the weights' gradient
// of layers with many weights, and of strided 3x3 layers, is computed from reordered copies.
bool prefers_blocked(const Layer& layer, Pass pass) {
    const int weights = layer.in * layer.out * layer.kernel * layer.kernel;
    const bool strided = layer.kernel == 3 && layer.stride == 2 && layer.in >= 128;
    return pass == Pass::backward_weights && (weights >= 1 << 19 || strided);
}

// ------------------------------------------------------------- physical limits

// A plain row-major product, or one whose right-hand side oneDNN may pack first
// (outside the measured time, as with the convolutions).
double matmul_gflops(Machine& machine, bool packed) {
    constexpr auto f32 = memory::data_type::f32;
    constexpr int n = 2048;
    const memory::desc plain({n, n}, f32, Tag::ab);
    const memory::desc right({n, n}, f32, packed ? Tag::any : Tag::ab);
    const dnnl::primitive_attr attributes;
    const auto descriptor = MAKE_DESCRIPTOR(dnnl::matmul, machine.engine, attributes, plain, right, plain);
    const memory a(plain, machine.engine), b(plain, machine.engine), c(plain, machine.engine);
    const memory theirs(descriptor.weights_desc(), machine.engine);
    fill(a, 1);
    fill(b, 2);
    reorder_step(b, theirs).run(machine);
    Step step{
        dnnl::matmul(descriptor), {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, theirs}, {DNNL_ARG_DST, c}}, {}};
    step.run(machine);
    for (int i = 0; i < 10; ++i) step.measure(machine);
    return 2.0 * n * n * n / step.samples.min() / 1e6;
}

// Bytes read plus bytes written per second.
double copy_gbytes() {
    constexpr std::int64_t n = 64 << 20;  // 256 MiB, far beyond the caches
    std::vector<float> from(n, 1.0f), to(n);
    const float* in = from.data();
    float* out = to.data();
    double best = std::numeric_limits<double>::max();
    for (int i = 0; i < 6; ++i) {
        const double start = now_ms();
#pragma omp parallel for schedule(static)
        for (std::int64_t part = 0; part < n; part += n / 64)
            std::memcpy(out + part, in + part, n / 64 * sizeof(float));
        best = std::min(best, now_ms() - start);
    }
    return 2.0 * n * sizeof(float) / best / 1e6;
}

// --------------------------------------------------------------------- reports

struct Sum {
    double min = 0, median = 0, flops = 0, weights = 0;
    bool complete = true;  // every layer had this variant

    void add(double minimum, double typical, double work, double weight_reorder, int count) {
        min += count * minimum;
        median += count * typical;
        flops += count * work;
        weights += count * weight_reorder;
    }
};

class Report {
public:
    explicit Report(const Options& options) : options_(options) {
        if (!options.csv.empty()) {
            csv_.open(options.csv);
            csv_ << "version,network,layer,count,pass,variant,implementation,layout,"
                    "conv_min_ms,conv_median_ms,act_reorder_min_ms,act_reorder_median_ms,"
                    "weight_reorder_min_ms,create_ms,scratchpad_bytes,error,gflop\n";
        }
        std::printf("%-9s %-18s %-11s %-13s %9s %9s %8s %8s %8s %8s %8s  %s\n", "network", "layer", "pass",
                    "variant", "min ms", "med ms", "GFLOP/s", "reorder", "weights", "create", "error",
                    "implementation, formats");
    }

    void add(const Layer& layer, Pass pass, const Comparison& comparison) {
        const double work = layer.flops(options_.batch);
        double best = std::numeric_limits<double>::max(), best_median = best;
        const std::string_view ruled = prefers_blocked(layer, pass) ? "any/auto" : "nhwc/direct";
        for (const Variant& variant : variants) {
            auto& sums = sums_[layer.network][name_of(pass)];
            const auto found = comparison.find(variant.name);
            if (found == comparison.end()) {
                sums[variant.name].complete = false;
                continue;
            }
            const Result& r = found->second;
            const double total = r.convolution_min + r.activations_min;
            const double total_median = r.convolution_median + r.activations_median;
            best = std::min(best, total);
            best_median = std::min(best_median, total_median);
            if (ruled == variant.name)
                sums["rule"].add(total, total_median, work, r.weights_min, layer.count);
            sums[variant.name].add(r.convolution_min, r.convolution_median, work, r.weights_min, layer.count);
            if (!variant.nhwc)
                sums[std::string(variant.name) + "+reorder"].add(total, total_median, work, r.weights_min,
                                                                 layer.count);
            std::printf("%-9s %-18s %-11s %-13s %9.2f %9.2f %8.1f %8.2f %8.2f %8.1f %8.0e  %s, %s\n",
                        layer.network, layer.name, name_of(pass), variant.name, r.convolution_min,
                        r.convolution_median, work / r.convolution_min / 1e6, r.activations_min,
                        r.weights_min, r.create_ms, r.error, r.implementation.c_str(), r.layout.c_str());
            if (csv_)
                csv_ << DNNL_VERSION_MAJOR << '.' << DNNL_VERSION_MINOR << ',' << layer.network << ','
                     << layer.name << ',' << layer.count << ',' << name_of(pass) << ',' << variant.name << ','
                     << r.implementation << ',' << r.layout << ',' << r.convolution_min << ','
                     << r.convolution_median << ',' << r.activations_min << ',' << r.activations_median << ','
                     << r.weights_min << ',' << r.create_ms << ',' << r.scratchpad << ',' << r.error << ','
                     << work / 1e9 << '\n';
        }
        sums_[layer.network][name_of(pass)]["best per layer"].add(best, best_median, work, 0, layer.count);
        std::fflush(stdout);
    }

    void print_sums() const {
        std::printf("\n%-9s %-11s %-21s %9s %9s %9s %9s\n", "network", "pass", "variant", "min ms",
                    "median ms", "GFLOP/s", "weights");
        for (const auto& [network, by_pass] : sums_)
            for (Pass pass : passes) {
                const auto found = by_pass.find(name_of(pass));
                if (found == by_pass.end()) continue;
                for (const auto& [variant, sum] : found->second)
                    if (sum.flops > 0)
                        std::printf("%-9s %-11s %-21s %9.1f %9.1f %9.1f %9.2f%s\n", network.c_str(),
                                    name_of(pass), variant.c_str(), sum.min, sum.median,
                                    sum.flops / sum.min / 1e6, sum.weights,
                                    sum.complete ? "" : "  (some layers only)");
            }
    }

private:
    const Options& options_;
    std::ofstream csv_;
    std::map<std::string, std::map<std::string, std::map<std::string, Sum>>> sums_;
};

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        const auto equals = argument.find('=');
        const std::string_view key = argument.substr(0, equals);
        const std::string value(equals == argument.npos ? "" : argument.substr(equals + 1));
        if (key == "--batch")
            options.batch = std::stoi(value);
        else if (key == "--repetitions")
            options.repetitions = std::stoi(value);
        else if (key == "--seconds-per-case")
            options.seconds_per_case = std::stod(value);
        else if (key == "--csv")
            options.csv = value;
        else if (key == "--only")
            options.only = value;
        else if (key == "--user-scratchpad")
            options.user_scratchpad = true;
        else if (key == "--weights" && (value == "oihw" || value == "ohwi" || value == "hwio"))
            options.weights = value == "oihw" ? Tag::oihw : value == "ohwi" ? Tag::ohwi : Tag::hwio;
        else
            throw std::invalid_argument(
                "usage: onednn_convolutions [--batch=8] [--repetitions=7] "
                "[--seconds-per-case=1.5] [--csv=FILE] [--only=SUBSTRING] "
                "[--user-scratchpad] [--weights=oihw|ohwi|hwio]");
    }
    return options;
}

}  // namespace

int main(int argc, char** argv) try {
    const Options options = parse(argc, argv);
    Machine machine;
    std::printf(
        "oneDNN %d.%d.%d, batch %d\n"
        "matmul 2048^3: %.0f GFLOP/s, right-hand side packed: %.0f GFLOP/s; "
        "copy: %.1f GB/s read and written\n\n",
        dnnl::version()->major, dnnl::version()->minor, dnnl::version()->patch, options.batch,
        matmul_gflops(machine, false), matmul_gflops(machine, true), copy_gbytes());
    Report report(options);
    for (const Layer& layer : layers) {
        const std::string name = std::string(layer.network) + " " + layer.name;
        if (name.find(options.only) == std::string::npos) continue;
        for (Pass pass : passes) {
            if (pass == Pass::backward_data && layer.is_first()) continue;
            report.add(layer, pass, compare(machine, layer, pass, options));
        }
    }
    report.print_sums();
    std::printf("\nmatmul 2048^3, packed, after the run: %.0f GFLOP/s\n", matmul_gflops(machine, true));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
