// ImageNet (ILSVRC 2012): what published weights expect of pictures, and what their classes are called
// (datasets/data/imagenet_classes.txt, embedded in the library).
#include <sstream>

#include "core/embedded_file.h"
#include "models/model.h"

BACKLIGHT_EMBED(imagenet, "datasets/data/imagenet_classes.txt")

namespace backlight {

void expect_imagenet_pictures(Model& model) {
    const int64_t channels = model.input[2];
    model.picture = {224, 224, channels};
    model.shorter_side = 256;
    if (channels == 3) {
        model.mean = {0.485, 0.456, 0.406};
        model.std = {0.229, 0.224, 0.225};
    }
}

const std::vector<std::string>& imagenet_class_names() {
    static const std::vector<std::string> names = [] {
        std::istringstream text(std::string(backlight_imagenet_begin, backlight_imagenet_end));
        std::vector<std::string> lines;
        for (std::string line; std::getline(text, line);) {
            lines.push_back(line);
        }
        return lines;
    }();
    return names;
}

}  // namespace backlight
