#include "experiments/concept_data.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/image.h"
#include "core/random.h"
#include "datasets/image.h"
#include "report/heatmap.h"
#include "train/picture.h"

namespace backlight {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> pictures_in(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
        std::string extension = entry.path().extension().string();
        std::transform(extension.begin(), extension.end(), extension.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        const std::vector<std::string> known{".jpg", ".jpeg", ".png", ".bmp", ".gif"};
        if (entry.is_regular_file() && std::find(known.begin(), known.end(), extension) != known.end()) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    BACKLIGHT_CHECK(!files.empty(), "concept set: no pictures in ", folder.string());
    return files;
}

std::vector<int64_t> numbers_to(int64_t n) {
    std::vector<int64_t> numbers(static_cast<size_t>(n));
    std::iota(numbers.begin(), numbers.end(), int64_t{0});
    return numbers;
}

int64_t whole_number(const std::string& text, const std::string& where) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    BACKLIGHT_CHECK(error == std::errc() && end == text.data() + text.size(), "concept set: ", where,
                    " expects a whole number, got \"", text, "\"");
    return value;
}

}  // namespace

Tensor SampleSet::input(const Model& model, int64_t first, int64_t count) const {
    if (files.empty()) {
        return data->batch(std::span(indices).subspan(static_cast<size_t>(first), static_cast<size_t>(count)))
            .input;
    }
    std::vector<Tensor> parts;
    for (int64_t i = first; i < first + count; ++i) {
        parts.push_back(read_picture(files[static_cast<size_t>(i)], model));
        BACKLIGHT_CHECK(parts.back().shape() == parts[0].shape(), files[static_cast<size_t>(i)].string(),
                        ": is ", parts.back().shape(), ", the pictures before it are ", parts[0].shape(),
                        "; the weights state no size to bring them to");
    }
    return stacked(parts);
}

SampleSet SampleSet::limited(int64_t count, uint64_t seed) const {
    if (count <= 0 || count >= size()) {
        return *this;
    }
    RandomStream random(RandomKey{.seed = seed, .purpose = purpose::kExplainer, .sample = 6});
    SampleSet chosen = *this;
    chosen.files.clear();
    chosen.indices.clear();
    for (const int64_t i : random.sample(size(), count)) {
        if (files.empty()) {
            chosen.indices.push_back(indices[static_cast<size_t>(i)]);
        } else {
            chosen.files.push_back(files[static_cast<size_t>(i)]);
        }
    }
    return chosen;
}

int64_t class_number(const std::string& text, const std::vector<std::string>& names, int64_t classes) {
    const auto named = std::find(names.begin(), names.end(), text);
    if (named != names.end()) {
        return named - names.begin();
    }
    int64_t number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw_error(unknown_name("class", text, names));
    }
    BACKLIGHT_CHECK(number >= 0 && number < classes, "class ", text,
                    " is out of range, there are classes 0..", classes - 1);
    return number;
}

SampleSet parse_sample_set(const std::string& text, const std::shared_ptr<const Dataset>& data) {
    if (fs::is_directory(text)) {
        return {.name = fs::path(text).filename().string(), .files = pictures_in(text)};
    }
    SampleSet set{.name = text, .data = data};
    if (text == "all") {
        set.indices = numbers_to(data->size());
        return set;
    }
    const size_t equals = text.find('=');
    BACKLIGHT_CHECK(equals != std::string::npos && equals > 0,
                    "concept set: expected a folder of pictures, class=NAME, "
                    "COLUMN=VALUE or all, got \"",
                    text, "\"");
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    if (key == "class") {
        set.name = value;
        set.indices = data->samples_by_class()[static_cast<size_t>(
            class_number(value, data->class_names(), data->num_classes()))];
    } else {
        std::vector<std::string> known = data->column_names();
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            known.insert(known.begin(), "class");
            throw_error(unknown_name("column of the data", key, known));
        }
        const std::vector<int64_t>& column = data->column(key);
        const int64_t wanted = whole_number(value, key);
        for (int64_t i = 0; i < data->size(); ++i) {
            if (column[static_cast<size_t>(i)] == wanted) {
                set.indices.push_back(i);
            }
        }
    }
    BACKLIGHT_CHECK(!set.indices.empty(), "concept set: no sample of the data has ", text);
    return set;
}

SampleSet all_but(const SampleSet& set, const std::shared_ptr<const Dataset>& data) {
    SampleSet rest{.name = "all but " + set.name, .data = data};
    const std::vector<int64_t> none;
    const auto& left_out = set.data == data ? set.indices : none;
    const auto all = numbers_to(data->size());
    std::vector<int64_t> sorted = left_out;
    std::sort(sorted.begin(), sorted.end());
    std::set_difference(all.begin(), all.end(), sorted.begin(), sorted.end(),
                        std::back_inserter(rest.indices));
    BACKLIGHT_CHECK(!rest.indices.empty(), "concept set: every sample of the data is ", set.name,
                    "; name others with --random");
    return rest;
}

int64_t explained_at_once(const Shape& sample) {
    constexpr int64_t kValues = 1'200'000;
    return std::clamp<int64_t>(kValues / std::max<int64_t>(sample.numel(), 1), 1, 128);
}

void for_each_forward(const Model& model, const SampleSet& set, int64_t batch_size,
                      const std::function<void(const ExplainedForward& forward, int64_t first)>& body) {
    const Shape& sample = set.files.empty() ? set.data->sample_shape() : model.picture;
    const int64_t step =
        batch_size > 0 ? batch_size : explained_at_once(sample.rank() > 0 ? sample : model.input);
    for (int64_t first = 0; first < set.size(); first += step) {
        const Tensor x = set.input(model, first, std::min(step, set.size() - first));
        model.check_input(x.shape());
        body(ExplainedForward(*model.net, x), first);
    }
}

Tensor activations_of(const Model& model, const SampleSet& set, const std::string& layer,
                      ActivationPooling pooling, int64_t batch_size) {
    std::vector<Tensor> parts;
    for_each_forward(model, set, batch_size, [&](const ExplainedForward& forward, int64_t) {
        const Variable output = forward.layers().at(layer);
        BACKLIGHT_CHECK(output.requires_grad() && output.rank() >= 2, "layer ", layer,
                        " has no activations that depend on the input");
        parts.push_back(pooled_activations(output.data(), pooling));
    });
    return stacked(parts);
}

Tensor stacked(const std::vector<Tensor>& parts) {
    const NoGrad off;
    Variables all(parts.begin(), parts.end());
    return all.size() == 1 ? parts[0] : concat(all, 0).data();
}

Tensor sample_picture(const Dataset& data, int64_t index) {
    const Shape& shape = data.sample_shape();
    if (shape.rank() != 3 || (shape[2] != 1 && shape[2] != 3)) {
        return {};
    }
    const InputRange range = data.input_range();
    const double low = *std::min_element(range.low.begin(), range.low.end());
    const double high = *std::max_element(range.high.begin(), range.high.end());
    return report::picture(data.get(index).input, low, std::max(high, low + 1e-9));
}

Tensor file_picture(const fs::path& file) { return read_image(file, 3); }

Tensor shrunk(const Tensor& picture, int64_t edge) {
    const int64_t longer = std::max(picture.dim(0), picture.dim(1));
    if (longer <= edge) {
        return picture;
    }
    const auto scaled = [&](int64_t extent) { return std::max<int64_t>(1, extent * edge / longer); };
    const Image small = resize(to_image(picture), scaled(picture.dim(0)), scaled(picture.dim(1)));
    return report::picture(Tensor::from(small.values, {small.height, small.width, small.channels}));
}

void make_output_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    BACKLIGHT_CHECK(fs::is_directory(folder), "--out-dir: ", folder.string(), " cannot be made a folder",
                    error ? ": " + error.message() : std::string());
}

}  // namespace backlight
