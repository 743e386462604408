// ImageNet (ILSVRC 2012): what published weights expect of pictures, and what their classes are called
// (datasets/data/imagenet_classes.txt, embedded in the library).
#include <sstream>

#include "models/model.h"

// The bytes of the file, put into read-only data by the assembler, which finds it on the include path.
__asm__(
    ".pushsection .rodata\n"
    ".global backlight_imagenet_begin\n"
    ".hidden backlight_imagenet_begin\n"
    "backlight_imagenet_begin:\n"
    ".incbin \"datasets/data/imagenet_classes.txt\"\n"
    ".global backlight_imagenet_end\n"
    ".hidden backlight_imagenet_end\n"
    "backlight_imagenet_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" {
extern const char backlight_imagenet_begin[];
extern const char backlight_imagenet_end[];
}

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
