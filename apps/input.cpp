#include "apps/input.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "train/picture.h"

namespace backlight::apps {

Tensor read_input(const std::filesystem::path& path, const Model& model, DType dtype) {
    const std::string extension = path.extension().string();
    Tensor x = extension == ".npy" ? read_npy(path) : read_picture(path, model);
    BACKLIGHT_CHECK(is_floating(x.dtype()), path.string(), ": expected float32 or float64, got ", x.dtype());
    BACKLIGHT_CHECK(x.rank() == 2 || x.rank() == 4, path.string(), ": expected (N,H,W,C) or (N,D), got ",
                    x.shape());
    BACKLIGHT_CHECK(x.dim(0) > 0, path.string(), ": holds no samples, its shape is ", x.shape());
    model.check_input(x.shape());
    x = x.to(dtype);
    BACKLIGHT_CHECK(sum(1.0 - Variable(mask(UnaryOp::is_finite, x))).item() == 0, path.string(),
                    ": holds values that are not finite");
    return x;
}

}  // namespace backlight::apps
