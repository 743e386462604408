// Ten windows of each picture of another data set. It is decoded once for all of them, and whoever averages
// over windows finds them as one batch: (N, 10 H, W, C) is (N 10, H, W, C) in memory.
#include "core/error.h"
#include "datasets/transforms.h"

namespace backlight {
namespace {

class TenCropsOf final : public Dataset {
public:
    explicit TenCropsOf(std::shared_ptr<const Dataset> base) : base_(std::move(base)) {
        info_.transforms = base_->transforms();
        if (!info_.transforms.empty()) {
            info_.windows = info_.transforms.back()->ten_crops();
        }
        BACKLIGHT_CHECK(!info_.windows.empty() && base_->views() == 1,
                        "ten crops: the pictures of this data set are not cut out of larger ones");
        const Shape& shape = base_->sample_shape();
        info_.class_names = base_->class_names();
        info_.views = static_cast<int64_t>(info_.windows.size());
        info_.sample_shape = {views() * shape[0], shape[1], shape[2]};
        info_.has_mask = base_->has_masks();
        info_.has_decoy = base_->has_decoy_masks();
        info_.multi_label = base_->is_multi_label();
        info_.normalization = base_->normalization();
        info_.transforms.pop_back();
    }
    [[nodiscard]] int64_t size() const override { return base_->size(); }
    [[nodiscard]] int64_t label(int64_t index) const override { return base_->label(index); }
    [[nodiscard]] std::vector<Presence> presence(int64_t index) const override {
        return base_->presence(index);
    }
    [[nodiscard]] RawSample load(int64_t index) const override { return base_->load(index); }
    [[nodiscard]] InputRange input_range() const override { return base_->input_range(); }
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override {
        return base_->column(name);
    }
    [[nodiscard]] std::vector<std::string> column_names() const override { return base_->column_names(); }

private:
    std::shared_ptr<const Dataset> base_;
};

}  // namespace

std::shared_ptr<Dataset> ten_crops(std::shared_ptr<const Dataset> base) {
    return std::make_shared<TenCropsOf>(std::move(base));
}

}  // namespace backlight
