// backlight explain: which parts of an input (or of a layer) speak for a class.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>

#include "apps/checks.h"
#include "apps/commands.h"
#include "apps/explain_output.h"
#include "apps/input.h"
#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/fingerprint.h"
#include "core/glob.h"
#include "core/io/file.h"
#include "core/io/npy.h"
#include "core/io/safetensors.h"
#include "core/options.h"
#include "core/random.h"
#include "datasets/corrupt.h"
#include "datasets/registry.h"
#include "experiments/concept_data.h"
#include "experiments/explain_run.h"
#include "explain/explainer.h"
#include "report/colormap.h"
#include "report/heatmap.h"
#include "report/progress.h"
#include "report/reduce.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

using Config = ExplainCall;

/// The method texts: those given, or the one that --composite spells.
std::vector<std::string> methods_of(const Config& c) {
    BACKLIGHT_CHECK(c.composite.empty() || c.methods.empty(),
                    "--composite is a method of its own: leave out --method");
    if (!c.composite.empty()) {
        (void)parse_composite(c.composite);  // its own message before the option's
        return {"composite(parts=(" + c.composite + "))"};
    }
    for (const std::string& method : c.methods) {
        BACKLIGHT_CHECK(!method.empty(), "--method: expected a name (backlight list methods), got nothing");
        BACKLIGHT_CHECK(method != "all" || c.methods.size() == 1,
                        "--method all is every method: leave out the others");
        BACKLIGHT_CHECK(c.start.empty() || !parse_spec(method).values.contains("start"),
                        "--start says what arrives at the logits, and so does ", method,
                        "; leave one of them out");
    }
    return c.methods.empty() ? std::vector<std::string>{"lrp"} : c.methods;
}

/// Samples of the training split that expected gradients and DeepSHAP compare with.
std::function<Tensor()> background_of(const Config& c, const Model& model, DType dtype) {
    if (c.background.empty()) {
        return {};
    }
    if (c.background.ends_with(".npy")) {
        return always(read_input(c.background, model, dtype));
    }
    const auto data = load_data(c.background);
    const std::vector<int64_t> order =
        RandomStream(RandomKey{.seed = c.seed, .purpose = purpose::kExplainer})
            .sample(data->train->size(), std::min(c.background_size, data->train->size()));
    const Tensor x = data->train->batch(readable(*data->train, order)).input.to(dtype);
    model.check_input(x.shape());
    return always(x);
}

/// "A,B" and repeated options; globs stand for all layers that match, "all" for every one.
std::vector<std::string> layers_of(const Config& c, const ExplainedForward& forward) {
    std::vector<std::string> layers;
    for (const std::string& given : c.layers) {
        for (const std::string& layer : split_list(given, ',')) {
            const std::string pattern = layer == "all" ? "*" : layer;
            if (pattern.find_first_of("*?") == std::string::npos) {
                layers.push_back(layer);
                continue;
            }
            const size_t before = layers.size();
            for (const std::string& name : forward.layers().names()) {
                if (glob_match(pattern, name) && forward.layers().handle(name).requires_grad()) {
                    layers.push_back(name);
                }
            }
            if (layers.size() == before) {
                std::string known;
                for (const std::string& name : forward.layers().names()) {
                    known += (known.empty() ? "" : ", ") + name;
                }
                throw_error(concat_text("--layer: no layer matches ", layer, "; known: ", known));
            }
        }
    }
    return layers;
}

int64_t target_number(const std::string& text, const std::vector<std::string>& names, int64_t classes) {
    const auto named = std::find(names.begin(), names.end(), text);
    int64_t target = named - names.begin();
    if (named == names.end()) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), target);
        BACKLIGHT_CHECK(error == std::errc() && end == text.data() + text.size(),
                        "--target: expected a class number or name, predicted or all; ",
                        unknown_name("class", text, names));
    }
    BACKLIGHT_CHECK(target >= 0 && target < classes, "--target: ", text,
                    " is out of range, the model has classes 0..", classes - 1);
    return target;
}

/// One vector of targets a map: one for T and predicted, K for all.
std::vector<std::vector<int64_t>> targets_of(const Config& c, const ExplainedForward& forward,
                                             const std::vector<std::string>& names) {
    const auto samples = static_cast<size_t>(forward.logits().dim(0));
    const int64_t classes = forward.logits().dim(1);
    if (c.target == "predicted") {
        return {forward.predicted()};
    }
    if (c.target == "all") {
        std::vector<std::vector<int64_t>> all;
        for (int64_t k = 0; k < classes; ++k) {
            all.emplace_back(samples, k);
        }
        return all;
    }
    const int64_t target = target_number(c.target, names, classes);
    return {std::vector<int64_t>(samples, target)};
}

struct Loaded {
    LoadedModel model;
    ExplainContext context;
    DType dtype = DType::f32;
    std::unique_ptr<DataSource> data;  // where --data is given
};

std::unique_ptr<Loaded> load(const Config& c) {
    auto loaded = std::make_unique<Loaded>();
    loaded->dtype = c.precision == "f64" ? DType::f64 : DType::f32;
    loaded->model = load_model(c.model, c.classes, c.weights, loaded->dtype);
    const std::string assumed = choose_normalization(loaded->model, c.normalize);
    const Model& model = loaded->model.model;
    if (!c.data.empty()) {  // it may know what the weights do not say
        loaded->data = load_data(c.data);
        const auto& split = loaded->data->split(c.split);
        take_input_of(loaded->model, *split);
        if (loaded->model.class_names.empty() && split->num_classes() == model.classes) {
            loaded->model.class_names = split->class_names();
        }
    }
    if (!assumed.empty() && !c.input.empty() && !c.input.ends_with(".npy")) {
        std::cout << assumed << "\n";
    }
    loaded->context = {.cam_layer = model.cam_layer,
                       .low = loaded->model.low,
                       .high = loaded->model.high,
                       .mean = model.mean,
                       .std = model.std,
                       .seed = c.seed,
                       .background = background_of(c, model, loaded->dtype)};
    return loaded;
}

/// One input (a batch, or a picture), one method, one file.
int run_one(const Config& c) {
    const std::vector<std::string> methods = methods_of(c);
    BACKLIGHT_CHECK(methods.size() == 1 && methods[0] != "all",
                    "--out takes the map of one method; give a folder, --out-dir, for several");
    const bool as_picture = c.out.ends_with(".png");
    BACKLIGHT_CHECK(as_picture || c.out.ends_with(".npy") || c.out.ends_with(".safetensors"),
                    "--out: expected a name that ends in .npy, .png or (several layers) .safetensors, got ",
                    c.out);
    check_output("--out", c.out);
    if (!c.parameters.empty()) {
        check_output("--parameters", c.parameters);
        BACKLIGHT_CHECK(c.parameters.ends_with(".safetensors"),
                        "--parameters: expected a name that ends in .safetensors, got ", c.parameters);
        BACKLIGHT_CHECK(c.target != "all", "--parameters: takes one target, not --target all");
    }
    const auto loaded = load(c);
    report::PatientProgress bar("passes");
    loaded->context.progress = [&bar](int64_t done, int64_t of) { bar.update(done, of); };
    const auto explainer = build_method(methods[0], loaded->context);
    const Tensor x = read_input(c.input, loaded->model.model, loaded->dtype);
    ConservationTable table;
    ExplainRequest request{.neuron = c.neuron, .parameters = !c.parameters.empty()};
    if (c.conservation) {
        request.watch = table.watch();
    }
    ExplainedForward forward(*loaded->model.model.net, x,
                             explainer->reads_values() ? Recording::Keeps::values : Recording::Keeps::names,
                             c.layers.empty() ? explainer->reads_from(request) : "");
    std::ostringstream text;
    if (!forward.stripped().empty()) {
        text << "explained: the input of the final " << forward.stripped() << "\n";
    }
    const std::vector<std::string> layers = layers_of(c, forward);
    BACKLIGHT_CHECK(layers.size() <= 1 || c.out.ends_with(".safetensors"), "--out: maps of ", layers.size(),
                    " layers need a name that ends in .safetensors");
    request.layers = layers;
    if (c.target == "all") {
        forward.remember_answers();
    }
    if (!c.start.empty()) {
        request.start = read_npy(c.start).to(loaded->dtype);
    }
    const bool by_target = c.neuron.empty() && c.start.empty();
    std::vector<Explanation> found;
    for (const auto& targets : by_target ? targets_of(c, forward, loaded->model.class_names)
                                         : std::vector<std::vector<int64_t>>{{}}) {
        request.targets = targets;
        found.push_back(forward.explain_all(*explainer, request));
        print_sums(text, found.back(), forward.logits().data(), targets, *explainer,
                   c.start.empty() ? explainer->start_name() : c.start);
    }
    if (c.conservation) {
        table.print(text);
    }
    write_maps(c, x, found, layers);
    if (!c.parameters.empty()) {
        write_parameters(c.parameters, found[0], *loaded->model.model.net);
        text << "written: " << c.parameters << "\n";
    }
    std::cout << text.str() << "written: " << c.out << "\n";  // nothing where a picture could not be drawn
    return 0;
}

/// "FILE (checksum)", so that other contents under the same name are not taken for these.
std::string named(const std::string& file) { return file + " (" + checksum(read_file_bytes(file)) + ")"; }

/// A picture's draws depend on its name, so that they stay where others come to stand in front of it.
int64_t number_of(const std::string& name) {
    const std::vector<uint8_t> bytes(name.begin(), name.end());
    return static_cast<int64_t>(fingerprint(bytes) & 0x7fffffff);
}

/// What a folder of maps is of, the samples themselves aside. Another text stands for other maps.
std::string identity_of(const Config& c) {
    std::string text =
        concat_text(c.model, " ", named(c.weights), " on ", c.data.empty() ? c.input : c.data + " " + c.split,
                    ", target ", c.target, ", seed ", c.seed, ", ", c.precision);
    if (c.background.ends_with(".npy")) {
        text += ", background " + named(c.background);
    } else if (!c.background.empty()) {
        text += ", background " + c.background + " of " + std::to_string(c.background_size);
    }
    return c.normalize == "weights" ? text : text + ", normalize " + c.normalize;
}

std::vector<std::filesystem::path> pictures_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    BACKLIGHT_CHECK(!files.empty(), "--input: there are no pictures in ", folder.string());
    return files;
}

/// A file of a folder that is no picture of this model does not stop the others.
Tensor read_or_skip(const std::filesystem::path& file, const Model& model, DType dtype) {
    try {
        return read_input(file, model, dtype);
    } catch (const Error& error) {
        throw CorruptSample(error.what());
    }
}

/// Many samples, many methods, one folder.
int run_folder(const Config& c) {
    BACKLIGHT_CHECK(
        c.layers.empty() && c.start.empty() && c.neuron.empty() && c.parameters.empty() && !c.conservation,
        "--out-dir explains inputs; --layer, --start, --neuron, --parameters and --conservation go with "
        "--out");
    make_output_folder(c.out_dir);
    const auto loaded = load(c);
    ExplainRunConfig config{.out = c.out_dir,
                            .methods = methods_of(c),
                            .context = loaded->context,
                            .identity = identity_of(c),
                            .pictures = !c.no_pictures,
                            .shown = c.shown,
                            .reduce = report::parse_reduce(c.reduce.empty() ? "sum" : c.reduce),
                            .heatmap = {.colormap = c.colormap, .percentile = c.percentile}};
    BACKLIGHT_CHECK(c.target != "all", "--target all goes with --out");
    const auto target_of = [&](int64_t label) -> int64_t {
        if (c.target == "predicted" || (c.target == "label" && label < 0)) {
            return -1;
        }
        return c.target == "label"
                   ? label
                   : target_number(c.target, loaded->model.class_names, loaded->model.model.classes);
    };
    Tensor x;
    if (loaded->data) {
        const auto split = loaded->data->split(c.split);
        BACKLIGHT_CHECK(c.target != "label" || !split->is_multi_label(),
                        "--target label: a sample of this data has several; give a class, or predicted");
        config.samples = c.limit > 0 ? std::min(c.limit, split->size()) : split->size();
        config.sample = [split, target_of, &loaded](int64_t index) {
            const Batch batch = split->batch(std::vector<int64_t>{index});
            const int64_t label = split->is_multi_label() ? -1 : split->label(index);
            std::ostringstream name;
            name << std::setw(6) << std::setfill('0') << index;
            loaded->model.model.check_input(batch.input.shape());
            return ExplainSample{
                .name = name.str(),
                .label = label < 0 ? std::string() : split->class_names()[static_cast<size_t>(label)],
                .target = target_of(label),
                .input = batch.input.to(loaded->dtype)};
        };
    } else if (std::filesystem::is_directory(c.input)) {
        BACKLIGHT_CHECK(c.target != "label", "--target label: only a data set (--data) has labels");
        const auto files = pictures_in(c.input);
        const auto count = static_cast<int64_t>(files.size());
        config.samples = c.limit > 0 ? std::min(c.limit, count) : count;
        config.sample = [files, target_of, &loaded](int64_t index) {
            const auto& file = files[static_cast<size_t>(index)];
            const std::string name = file.filename().string();
            return ExplainSample{.name = name,
                                 .target = target_of(-1),
                                 .input = read_or_skip(file, loaded->model.model, loaded->dtype),
                                 .number = number_of(name)};
        };
    } else {
        BACKLIGHT_CHECK(c.target != "label", "--target label: only a data set (--data) has labels");
        x = read_input(c.input, loaded->model.model, loaded->dtype);
        config.samples = c.limit > 0 ? std::min(c.limit, x.dim(0)) : x.dim(0);
        // The name does not depend on --limit.
        config.sample = [&x, target_of,
                         stem = std::filesystem::path(c.input).stem().string()](int64_t index) {
            return ExplainSample{.name = x.dim(0) == 1 ? stem : stem + "_" + std::to_string(index),
                                 .target = target_of(-1),
                                 .input = slice(Variable(x), 0, index, 1).data()};
        };
    }
    (void)explain_run(loaded->model, config, std::cout);
    std::cout << "index:  " << (config.out / "index.json").string()
              << "\npage:   " << (config.out / "report.html").string() << "\n";
    return 0;
}

/// Options that the chosen kind of output would not read.
void refuse_unread(const CLI::App& cmd, const Config& c) {
    const std::vector<std::string> unread =
        c.out.empty() ? std::vector<std::string>{"--view", "--norm"}
                      : std::vector<std::string>{"--limit", "--shown", "--no-pictures", "--split"};
    for (const std::string& option : unread) {
        BACKLIGHT_CHECK(cmd.count(option) == 0, option, " goes with ", c.out.empty() ? "--out" : "--out-dir");
    }
    BACKLIGHT_CHECK(cmd.count("--norm") == 0 || !c.out.ends_with(".png"),
                    "--norm scales a map in R.npy or R.safetensors; in pictures --percentile does");
    for (const std::string instead : {"--start", "--neuron"}) {
        BACKLIGHT_CHECK(cmd.count(instead) == 0 || cmd.count("--target") == 0, instead,
                        " stands in place of a class: leave out --target");
    }
    BACKLIGHT_CHECK(cmd.count("--composite") == 0 || c.composite.find_first_not_of(" ;") != std::string::npos,
                    "--composite: expected rules, e.g. \"conv:gamma(0.25); linear:epsilon\", got nothing");
    BACKLIGHT_CHECK(std::isfinite(c.percentile), "--percentile: expected 0 to 100, got ", c.percentile);
}

int run(const CLI::App& cmd, const Config& c) {
    (void)report::parse_reduce(c.reduce.empty() ? "sum" : c.reduce);
    (void)report::parse_normalize(c.norm);
    (void)report::colormap(c.colormap);
    BACKLIGHT_CHECK(c.input.empty() != c.data.empty(), "explain: give --input or --data");
    BACKLIGHT_CHECK(c.out.empty() != c.out_dir.empty(),
                    "explain: give --out (one map) or --out-dir (a folder)");
    BACKLIGHT_CHECK(c.data.empty() || c.out.empty(), "explain: --data goes with --out-dir");
    BACKLIGHT_CHECK(c.data.empty() || cmd.count("--normalize") == 0,
                    "--normalize is for pictures of --input; a data set has normalize= of its own");
    refuse_unread(cmd, c);
    return c.out.empty() ? run_folder(c) : run_one(c);
}

}  // namespace

Run add_explain(CLI::App& app, const Common&) {
    CLI::App* cmd = app.add_subcommand("explain", "Explain predictions of a model");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)")->required();
    cmd->add_option("--weights", c->weights, "Weights (safetensors)")->required();
    cmd->add_option(
        "--input", c->input,
        "X.npy (N,H,W,C) or (N,D), used as it is, a picture, or with --out-dir a folder of pictures");
    cmd->add_option("--data", c->data, "Data set (backlight list data), with --out-dir");
    cmd->add_option("--split", c->split, "Part of the data set");
    cmd->add_option("--limit", c->limit, "Explain the first so many samples; 0: all")->check(at_least_zero());
    cmd->add_option(
           "--method", c->methods,
           "Method with options, e.g. grad_cam, \"epsilon_plus(epsilon=0.25)\"; lrp if not given; with "
           "--out-dir several, or all; start=one|logit|prob|... sets what arrives at the output "
           "(backlight list methods)")
        ->allow_extra_args(false);
    cmd->add_option(
        "--composite", c->composite,
        "Rules of your own: \"first:zbox(low=-2.1,high=2.6); conv:gamma(0.25); linear:epsilon(1e-6)\"");
    cmd->add_option("--target", c->target, "Class number or name, predicted, all, or (--data) label");
    cmd->add_option("--start", c->start, "S.npy (N,K): what arrives at the logits, in place of a target");
    cmd->add_option(
        "--neuron", c->neuron,
        "Explain this neuron: LAYER:channel (all its positions), LAYER:row:column:channel or LAYER:index");
    cmd->add_option(
           "--layer", c->layers,
           "Explain the output of this layer, or its input: LAYER:in; several, a pattern or all with "
           "--out R.safetensors")
        ->allow_extra_args(false);
    cmd->add_option("--out", c->out, "R.npy of the explained tensor's shape, R.png, or R.safetensors");
    cmd->add_option(
        "--out-dir", c->out_dir,
        "Folder for maps of many samples and methods, with an index and a page; what it holds is kept");
    cmd->add_option("--parameters", c->parameters,
                    "Also write the relevance of weights and biases (safetensors, laid out as weights are)");
    cmd->add_flag("--conservation", c->conservation,
                  "Print what arrived, was sent and was absorbed, op by op");
    cmd->add_option("--background", c->background,
                    "Samples to compare with (expected_gradients, deep_shap): B.npy, or a data set");
    cmd->add_option("--background-size", c->background_size, "How many of a data set's training samples")
        ->check(at_least_one());
    cmd->add_option("--classes", c->classes, "Number of outputs; 0: as the weights have");
    cmd->add_option("--precision", c->precision, "f32 or f64")->check(CLI::IsMember({"f32", "f64"}));
    cmd->add_option(
        "--reduce", c->reduce,
        "Channels to one value: sum, abs-sum, max-abs, mean, l2, pos-sum; if not given sum in pictures and "
        "all channels in files");
    cmd->add_option(
        "--norm", c->norm,
        "Scale of a map in R.npy or R.safetensors: none, max-abs, minmax, sum-abs, a sample each");
    add_normalize_option(*cmd, c->normalize);
    cmd->add_option("--colormap", c->colormap, "blue-white-red, grey, viridis");
    cmd->add_option("--view", c->view, "Picture: overlay, raw, side")
        ->check(CLI::IsMember({"overlay", "raw", "side"}));
    cmd->add_option("--percentile", c->percentile,
                    "Clip |R| above this percentile in pictures; 99.5 suits deep networks")
        ->check(CLI::Range(0.0, 100.0));
    cmd->add_option("--shown", c->shown, "Samples on the page and in grid.png")->check(at_least_zero());
    cmd->add_flag("--no-pictures", c->no_pictures, "No picture a map in --out-dir");
    cmd->add_option("--seed", c->seed, "Random seed of methods that draw");
    return [c, cmd] { return run(*cmd, *c); };
}

}  // namespace backlight::apps
