#include "explain/cam.h"

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {

Variable grad_cam_map(const Variable& activations, const Variable& gradient, bool rectify) {
    BACKLIGHT_CHECK(activations.rank() == 4 && activations.shape() == gradient.shape(),
                    "grad_cam: expected activations (N,h,w,K) and their gradient, got ", activations.shape(),
                    " and ", gradient.shape());
    const Variable map = sum(mean(gradient, {1, 2}, true) * activations, {3}, true);
    return rectify ? relu(map) : map;
}

}  // namespace backlight
