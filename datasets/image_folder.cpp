// Folders of pictures: DIR/train/<class>/* with DIR/test/<class>/* (or val), or DIR/<class>/* which is split
// here. Classes are the sub-folders in alphabetical order, samples the files in alphabetical order; pictures
// are decoded when they are read. Without `size`, pictures of one size are needed.
#include <algorithm>
#include <array>
#include <map>

#include "core/error.h"
#include "datasets/files.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

namespace fs = std::filesystem;

struct Entry {
    fs::path path;
    int64_t label;
};

class ImageFolder final : public Dataset {
public:
    ImageFolder(std::vector<Entry> entries, std::vector<std::string> class_names, const Shape& shape)
        : entries_(std::move(entries)) {
        info_.class_names = std::move(class_names);
        info_.sample_shape = shape;
    }
    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override {
        check_index(index);
        return entries_[static_cast<size_t>(index)].label;
    }
    [[nodiscard]] RawSample load(int64_t index) const override {
        check_index(index);
        const fs::path& path = entries_[static_cast<size_t>(index)].path;
        return {.picture = PictureFile::open(path, static_cast<int>(info_.sample_shape[2]))};
    }

private:
    std::vector<Entry> entries_;
};

bool is_picture(const fs::path& path) {
    std::string extension = path.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    constexpr std::array<std::string_view, 5> kKnown{".jpg", ".jpeg", ".png", ".bmp", ".gif"};
    return std::find(kKnown.begin(), kKnown.end(), extension) != kKnown.end();
}

std::vector<std::string> subfolders(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (entry.is_directory() && !name.starts_with('.')) {
            names.push_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<fs::path> pictures(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file() && is_picture(entry.path()) &&
            !entry.path().filename().string().starts_with('.')) {
            found.push_back(entry.path());
        }
    }
    std::sort(found.begin(), found.end());
    BACKLIGHT_CHECK(!found.empty(), "folder: no pictures in ", folder.string());
    return found;
}

/// Class folders and what their classes are called and numbered.
struct Classes {
    std::vector<std::string> names;
    std::map<std::string, int64_t> number;  // by folder
};

Classes classes_of(const std::vector<std::string>& folders) {
    Classes classes;
    for (const std::string& folder : folders) {
        classes.number[folder] = static_cast<int64_t>(classes.names.size());
        classes.names.push_back(folder);
    }
    return classes;
}

// Line n of the list names the folder of class n; what follows a blank is what the class is called.
Classes classes_from(const fs::path& list) {
    Classes classes;
    for (const std::string& line : read_lines(list)) {
        const size_t blank = line.find(' ');
        const std::string folder = line.substr(0, blank);
        BACKLIGHT_CHECK(classes.number.emplace(folder, static_cast<int64_t>(classes.names.size())).second,
                        list.string(), ": \"", folder, "\" is listed twice");
        classes.names.push_back(blank == std::string::npos ? folder : line.substr(blank + 1));
    }
    return classes;
}

std::vector<Entry> entries_of(const fs::path& folder, const Classes& classes) {
    std::vector<Entry> entries;
    for (const std::string& name : subfolders(folder)) {
        const auto it = classes.number.find(name);
        BACKLIGHT_CHECK(it != classes.number.end(), "folder: ", (folder / name).string(),
                        " is not one of the classes");
        for (const fs::path& path : pictures(folder / name)) {
            entries.push_back({path, it->second});
        }
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.label < b.label; });
    return entries;
}

/// The j-th picture of its class is a test picture where floor((j + 1) share) > floor(j share).
void split(const std::vector<Entry>& all, double share, std::vector<Entry>& train, std::vector<Entry>& test) {
    std::map<int64_t, int64_t> seen;
    for (const Entry& entry : all) {
        const auto j = static_cast<double>(seen[entry.label]++);
        const bool is_test =
            static_cast<int64_t>((j + 1) * share + 1e-9) > static_cast<int64_t>(j * share + 1e-9);
        (is_test ? test : train).push_back(entry);
    }
}

/// Of the first picture that can be read.
Shape first_shape(const std::vector<Entry>& entries, int64_t channels) {
    std::string reason;
    for (const Entry& entry : entries) {
        try {
            const PictureFile picture = PictureFile::open(entry.path, static_cast<int>(channels));
            return {picture.height(), picture.width(), channels};
        } catch (const Error& error) {
            reason = error.what();
        }
    }
    throw_error("folder: none of the pictures can be read; the last: " + reason);
}

}  // namespace

Source load_image_folder(const std::string& place, const Options& options) {
    PictureOptions picture = picture_options(options, 0);
    ImageOptions& image = picture.image;
    const int64_t channels = options.get_within("channels", 3, 1, 3);
    const double share = options.get_within("test_share", 0.2, 0.0, 0.9);
    const std::string list = options.get("classes", "");
    options.finish();
    BACKLIGHT_CHECK(channels != 2, options.owner(), ": option channels expects 1 or 3, got 2");
    if (channels == 1 && image.normalization.mean.size() == 3) {
        image.normalization = {.mean = {0.449f}, .std = {0.226f}};  // means of the three channels
    }

    const fs::path folder(place);
    check_folder(folder, options.owner());
    std::vector<Entry> train, test;
    const bool has_train = fs::is_directory(folder / "train");
    const fs::path root = has_train ? folder / "train" : folder;
    const std::vector<std::string> folders = subfolders(root);
    BACKLIGHT_CHECK(!folders.empty(), options.owner(), ": no class folders in ", root.string());
    const Classes classes = list.empty() ? classes_of(folders) : classes_from(folder / list);
    if (has_train) {
        const fs::path other = fs::is_directory(folder / "test") ? folder / "test" : folder / "val";
        BACKLIGHT_CHECK(fs::is_directory(other), options.owner(), ": ", place,
                        " has train/, but neither test/ nor val/");
        train = entries_of(root, classes);
        test = entries_of(other, classes);
    } else if (share == 0) {
        train = test = entries_of(root, classes);
    } else {
        split(entries_of(root, classes), share, train, test);
        BACKLIGHT_CHECK(!train.empty() && !test.empty(), options.owner(), ": too few pictures in ", place,
                        " for test_share=", share,
                        "; test_share=0 takes all of them for training and for testing");
    }
    thin(train, image.limit);
    thin(test, image.limit_test);

    Shape shape{image.size, image.size, channels};
    if (image.size == 0) {
        shape = first_shape(train, channels);
    }
    auto source = std::make_unique<DataSource>();
    source->train = std::make_shared<ImageFolder>(std::move(train), classes.names, shape);
    source->test = std::make_shared<ImageFolder>(std::move(test), classes.names, shape);
    apply(picture, shape, *source);
    return source;
}

}  // namespace backlight
