// Masks from a folder: a person's picture of what does not matter, one a sample.
#include <map>

#include "core/error.h"
#include "core/io/image.h"
#include "datasets/corrupt.h"
#include "datasets/dataset.h"

namespace backlight {
namespace {

class WithDecoyMasks final : public Dataset {
public:
    WithDecoyMasks(std::shared_ptr<const Dataset> base, std::filesystem::path folder)
        : base_(std::move(base)), folder_(std::move(folder)) {
        info_.class_names = base_->class_names();
        info_.sample_shape = base_->sample_shape();
        info_.normalization = base_->normalization();
        info_.multi_label = base_->is_multi_label();
        info_.has_mask = base_->has_masks();
        info_.has_decoy = true;
        info_.transforms = base_->transforms();
        BACKLIGHT_CHECK(base_->views() == 1, "masks: samples of several views have none of their own");
        check_all();
    }
    [[nodiscard]] int64_t size() const override { return base_->size(); }
    [[nodiscard]] int64_t label(int64_t index) const override { return base_->label(index); }
    [[nodiscard]] std::vector<Presence> presence(int64_t index) const override {
        return base_->presence(index);
    }
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override {
        return base_->column(name);
    }
    [[nodiscard]] std::vector<std::string> column_names() const override { return base_->column_names(); }
    [[nodiscard]] InputRange input_range() const override { return base_->input_range(); }
    [[nodiscard]] Tensor class_mask(int64_t index, int64_t class_number) const override {
        return base_->class_mask(index, class_number);
    }
    [[nodiscard]] RawSample load(int64_t index) const override {
        RawSample sample = base_->load(index);
        sample.decoy = to_image(read_image(path_of(index, sample), 1));
        for (float& value : sample.decoy.values) {
            value = value > 0.5f ? 1.0f : 0.0f;
        }
        return sample;
    }

private:
    [[nodiscard]] std::filesystem::path path_of(int64_t index, const RawSample& sample) const {
        const std::string stem = sample.picture
                                     ? std::filesystem::path(sample.picture->name()).stem().string()
                                     : std::to_string(index);
        return folder_ / (stem + ".png");
    }

    /// Everything that is wrong is told before the first step.
    void check_all() const {
        int64_t missing = 0;
        std::string first;
        std::map<std::string, std::string> owners;  // of the masks
        for (int64_t i = 0; i < size(); ++i) {
            RawSample sample;
            try {
                sample = base_->load(i);
            } catch (const CorruptSample&) {  // told when it is drawn, or skipped
                continue;
            }
            const std::filesystem::path path = path_of(i, sample);
            const std::string name = sample.picture ? sample.picture->name() : std::to_string(i);
            const auto [owner, is_new] = owners.emplace(path.string(), name);
            BACKLIGHT_CHECK(is_new, "masks: ", path.string(), " would be that of both ", owner->second,
                            " and ", name, "; pictures of one name in several folders cannot have masks");
            if (!std::filesystem::exists(path)) {
                first = missing++ == 0 ? path.string() : first;
                continue;
            }
            const PictureFile mask = PictureFile::open(path, 1);
            const int64_t height = sample.picture ? sample.picture->height() : sample.input.height;
            const int64_t width = sample.picture ? sample.picture->width() : sample.input.width;
            BACKLIGHT_CHECK(mask.height() == height && mask.width() == width, "masks: ", path.string(),
                            " has ", mask.height(), " x ", mask.width(), " pixels, its sample ", height,
                            " x ", width);
        }
        BACKLIGHT_CHECK(missing == 0, "masks: ", missing, " of ", size(), " samples have none, the first is ",
                        first, " (a black picture says that nothing is marked)");
    }

    std::shared_ptr<const Dataset> base_;
    std::filesystem::path folder_;
};

}  // namespace

std::shared_ptr<Dataset> with_decoy_masks(std::shared_ptr<const Dataset> base,
                                          const std::filesystem::path& folder) {
    BACKLIGHT_CHECK(std::filesystem::is_directory(folder), "masks: ", folder.string(), " is no folder");
    return std::make_shared<WithDecoyMasks>(std::move(base), folder);
}

}  // namespace backlight
