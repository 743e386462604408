// A backend that watches: it fills fresh memory with NaN, so that a kernel that leaves an element out is
// seen, counts live bytes, and counts the calls of the kernels that tests ask about.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight::test {

/// Must outlive the tensors that were made while it was in use.
template <typename Base>
class ObservedBackend final : public Base {
public:
    [[nodiscard]] size_t live_bytes() const { return live_; }
    [[nodiscard]] size_t peak_bytes() const { return peak_; }
    void restart_peak() { peak_ = live_; }
    [[nodiscard]] int calls(const std::string& kernel) const {
        const auto found = calls_.find(kernel);
        return found == calls_.end() ? 0 : found->second;
    }

    [[nodiscard]] void* allocate(size_t bytes) override {
        void* data = Base::allocate(bytes);
        if (bytes > 0) {
            std::memset(data, 0xFF, bytes);  // NaN in f32 and f64, -1 in i64
        }
        live_ += bytes;
        peak_ = std::max(peak_, live_);
        return data;
    }
    void deallocate(void* data, size_t bytes) noexcept override {
        live_ -= bytes;
        Base::deallocate(data, bytes);
    }
    void conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight,
                              Tensor& d_x) override {
        ++calls_["conv2d_backward_data"];
        Base::conv2d_backward_data(attrs, d_y, weight, d_x);
    }
    void conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                 Tensor& d_weight) override {
        ++calls_["conv2d_backward_weights"];
        Base::conv2d_backward_weights(attrs, x, d_y, d_weight);
    }

private:
    size_t live_ = 0, peak_ = 0;
    std::map<std::string, int> calls_;
};

}  // namespace backlight::test
