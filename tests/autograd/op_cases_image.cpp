// Pooling and resizing.
#include "core/error.h"
#include "tests/autograd/op_cases.h"

namespace backlight::test {
namespace {

struct Window {
    const char* name;
    Shape x;
    PoolAttrs attrs;
};

const std::vector<Window>& windows() {
    static const std::vector<Window> all = {
        {"2 x 2, stride 2", {2, 4, 4, 2}, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {}}},
        {"overlap, padding 1", {1, 5, 5, 2}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
        {"stride 1", {1, 4, 4, 1}, {.kernel = {2, 2}, .stride = {1, 1}, .padding = {}}},
        {"rest unread", {1, 5, 6, 2}, {.kernel = {2, 2}, .stride = {3, 3}, .padding = {}}},
        {"ceil mode", {1, 5, 5, 2}, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {}, .ceil_mode = true}},
        {"ceil mode, padding 1",
         {1, 6, 6, 1},
         {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}},
        {"ceil mode, last window in the padding",
         {1, 3, 3, 1},
         {.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}},
        {"four-sided padding, unequal window",
         {1, 4, 5, 2},
         {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0, 0, 1}}},
        {"1 x 1", {1, 2, 2, 3}, {}},
        {"whole image", {2, 3, 2, 2}, {.kernel = {3, 2}, .padding = {}}},
        {"channels beyond one vector", {1, 4, 4, 17}, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {}}},
        {"empty batch", {0, 4, 4, 2}, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {}}},
    };
    return all;
}

}  // namespace

void add_image_cases(std::vector<OpCase>& cases) {
    for (const Window& window : windows()) {
        const PoolAttrs attrs = window.attrs;
        cases.push_back(
            {"max_pool2d", window.name, {{.shape = window.x, .lattice = 0.05}}, [attrs](const Variables& v) {
                 return max_pool2d(v[0], attrs);
             }});
        cases.push_back({"avg_pool2d", window.name, {{.shape = window.x}}, [attrs](const Variables& v) {
                             return avg_pool2d(v[0], attrs);
                         }});
        PoolAttrs inside = attrs;
        inside.count_padding = false;
        cases.push_back({"avg_pool2d",
                         concat_text(window.name, ", padding not counted"),
                         {{.shape = window.x}},
                         [inside](const Variables& v) { return avg_pool2d(v[0], inside); }});
    }
    struct Size {
        const char* name;
        Shape x;
        int64_t height, width;
    };
    const std::vector<Size> sizes = {
        {"to 1 x 1", {2, 3, 4, 2}, 1, 1},
        {"not divisible", {1, 5, 7, 2}, 3, 2},
        {"the same size", {1, 2, 3, 1}, 2, 3},
        {"larger", {1, 2, 3, 2}, 5, 4},
        {"halved", {1, 4, 4, 2}, 2, 2},
        {"doubled", {2, 2, 3, 1}, 4, 6},
        {"smaller and larger", {1, 6, 2, 1}, 4, 5},
        {"from 1 x 1", {1, 1, 1, 2}, 3, 2},
        {"empty batch", {0, 3, 3, 2}, 2, 2},
    };
    for (const Size& size : sizes) {
        const Draw x{.shape = size.x};
        cases.push_back({"adaptive_avg_pool2d", size.name, {x}, [size](const Variables& v) {
                             return adaptive_avg_pool2d(v[0], size.height, size.width);
                         }});
        cases.push_back({"resize", concat_text("bilinear, ", size.name), {x}, [size](const Variables& v) {
                             return resize(v[0], size.height, size.width);
                         }});
        cases.push_back({"resize", concat_text("nearest, ", size.name), {x}, [size](const Variables& v) {
                             return resize(v[0], size.height, size.width, ResizeMode::nearest);
                         }});
    }
}

}  // namespace backlight::test
