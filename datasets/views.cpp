// Views of other data sets: some samples of one, or several behind one another. They read through what they
// view, whose transforms and normalisation they keep.
#include <algorithm>
#include <map>

#include "core/error.h"
#include "datasets/dataset.h"

namespace backlight {
namespace {

class View : public Dataset {
public:
    void set_transforms(std::vector<std::shared_ptr<const Transform>>, const Shape&) override { refuse(); }
    void set_normalization(Normalization) override { refuse(); }
    void set_raw_range(std::vector<float>, std::vector<float>) override { refuse(); }

    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(places_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override {
        const Place& place = at(index);
        return place.part->label(place.index);
    }
    [[nodiscard]] std::vector<Presence> presence(int64_t index) const override {
        const Place& place = at(index);
        return place.part->presence(place.index);
    }
    [[nodiscard]] Tensor class_mask(int64_t index, int64_t class_number) const override {
        const Place& place = at(index);
        return place.part->class_mask(place.index, class_number);
    }
    [[nodiscard]] RawSample load(int64_t index) const override {
        const Place& place = at(index);
        return place.part->load(place.index);
    }
    void read(int64_t index, const std::optional<RandomDraw>& draw, const SampleSlot& slot) const override {
        const Place& place = at(index);
        place.part->read(place.index, draw, slot);
    }
    [[nodiscard]] InputRange input_range() const override { return range_; }
    [[nodiscard]] bool is_quick() const override {
        return std::all_of(parts_.begin(), parts_.end(), [](const auto& part) { return part->is_quick(); });
    }
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override {
        const auto it = columns_.find(name);
        return it == columns_.end() ? Dataset::column(name) : it->second;
    }
    [[nodiscard]] std::vector<std::string> column_names() const override {
        std::vector<std::string> names;
        for (const auto& [name, values] : columns_) {
            names.push_back(name);
        }
        return names;
    }

    explicit View(std::vector<std::shared_ptr<const Dataset>> parts) : parts_(std::move(parts)) {
        const Dataset& first = *parts_.front();
        info_.class_names = first.class_names();
        info_.sample_shape = first.sample_shape();
        info_.normalization = first.normalization();
        info_.multi_label = first.is_multi_label();
        info_.views = first.views();
        info_.has_mask = info_.has_decoy = true;
        for (const auto& part : parts_) {
            info_.has_mask = info_.has_mask && part->has_masks();
            info_.has_decoy = info_.has_decoy && part->has_decoy_masks();
        }
        range_ = first.input_range();
        for (const auto& part : parts_) {
            const InputRange other = part->input_range();
            for (size_t c = 0; c < range_.low.size(); ++c) {
                range_.low[c] = std::min(range_.low[c], other.low[c]);
                range_.high[c] = std::max(range_.high[c], other.high[c]);
            }
        }
    }
    void add(const Dataset& part, int64_t index) { places_.push_back({&part, index}); }
    void take_columns() {
        for (const std::string& name : parts_.front()->column_names()) {
            const bool everywhere = std::all_of(parts_.begin(), parts_.end(), [&](const auto& part) {
                const std::vector<std::string> names = part->column_names();
                return std::find(names.begin(), names.end(), name) != names.end();
            });
            if (everywhere) {
                std::vector<int64_t>& values = columns_[name];
                for (const Place& place : places_) {
                    values.push_back(place.part->column(name)[static_cast<size_t>(place.index)]);
                }
            }
        }
    }

private:
    struct Place {
        const Dataset* part;
        int64_t index;
    };
    [[noreturn]] static void refuse() {
        throw_error("dataset: change the data set that this one is a view of");
    }
    [[nodiscard]] const Place& at(int64_t index) const {
        check_index(index);
        return places_[static_cast<size_t>(index)];
    }
    std::vector<std::shared_ptr<const Dataset>> parts_;
    std::vector<Place> places_;
    InputRange range_;  // the widest of the parts
    std::map<std::string, std::vector<int64_t>, std::less<>> columns_;
};

}  // namespace

std::shared_ptr<Dataset> subset(std::shared_ptr<const Dataset> base, std::vector<int64_t> indices) {
    const Dataset& part = *base;
    auto view = std::make_shared<View>(std::vector<std::shared_ptr<const Dataset>>{std::move(base)});
    for (const int64_t index : indices) {
        BACKLIGHT_CHECK(index >= 0 && index < part.size(), "subset: index ", index, " is not in 0..",
                        part.size() - 1);
        view->add(part, index);
    }
    view->take_columns();
    return view;
}

std::shared_ptr<Dataset> concatenate(std::vector<std::shared_ptr<const Dataset>> parts) {
    BACKLIGHT_CHECK(!parts.empty(), "concatenate: expected at least one data set");
    for (const auto& part : parts) {
        BACKLIGHT_CHECK(part->sample_shape() == parts.front()->sample_shape(), "concatenate: sample shapes ",
                        parts.front()->sample_shape(), " and ", part->sample_shape(), " differ");
        BACKLIGHT_CHECK(part->class_names() == parts.front()->class_names(),
                        "concatenate: the class names differ");
        BACKLIGHT_CHECK(part->is_multi_label() == parts.front()->is_multi_label(),
                        "concatenate: a multi-label set and one with a label a sample");
    }
    auto view = std::make_shared<View>(parts);
    for (const auto& part : parts) {
        for (int64_t i = 0; i < part->size(); ++i) {
            view->add(*part, i);
        }
    }
    view->take_columns();
    return view;
}

}  // namespace backlight
