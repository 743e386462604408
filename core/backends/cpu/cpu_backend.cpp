#include "core/backends/cpu/cpu_backend.h"

namespace backlight {

Backend& cpu_backend() {
    static auto* backend = new CpuBackend;  // never destroyed: tensors of static storage outlive it otherwise
    return *backend;
}

}  // namespace backlight
