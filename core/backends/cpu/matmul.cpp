// Matrix products: small ones by our own kernel in the calling thread, others by oneDNN.
#include <optional>

#include <omp.h>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/double_products.h"
#include "core/backends/cpu/onednn.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/cpu/small_matmul.h"

namespace backlight {
namespace {

using dnnl::memory;

constexpr size_t kMaxPlans = 512;
constexpr int64_t kSmallProducts =
    1 << 20;  // multiplications from which a library call pays: about 100 x 100 x 100

struct Extents {
    int64_t batch, rows, columns, inner;
    bool a_has_batch, b_has_batch;
};

Extents extents_of(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Tensor& y) {
    const int64_t rows = y.dim(-2);
    const int64_t columns = y.dim(-1);
    return {y.numel() / (rows * columns),       rows,         columns,
            a.dim(attrs.transpose_a ? -2 : -1), a.rank() > 2, b.rank() > 2};
}

struct Plan {
    dnnl::matmul primitive;
    memory a, b, bias, y, scratchpad;
    std::unordered_map<int, memory> arguments;
    size_t scratch_bytes = 0;
};

Plan make_plan(const MatmulAttrs& attrs, const Extents& e, bool with_bias) {
    constexpr auto f32 = memory::data_type::f32;
    const auto operand = [&](int64_t rows, int64_t columns, bool transpose, bool has_batch) {
        const memory::dims steps =
            transpose ? memory::dims{rows * columns, 1, rows} : memory::dims{rows * columns, columns, 1};
        return memory::desc({has_batch ? e.batch : 1, rows, columns}, f32, steps);
    };
    const memory::desc a = operand(e.rows, e.inner, attrs.transpose_a, e.a_has_batch);
    const memory::desc b = operand(e.inner, e.columns, attrs.transpose_b, e.b_has_batch);
    const memory::desc y = operand(e.rows, e.columns, false, true);
    const memory::desc bias =
        with_bias ? memory::desc({1, 1, e.columns}, f32, memory::format_tag::abc) : memory::desc();
    const dnnl::matmul::primitive_desc made(cpu::dnnl_engine(), a, b, bias, y, cpu::user_scratchpad());
    const auto place = [](const memory::desc& desc) { return memory(desc, cpu::dnnl_engine(), nullptr); };
    Plan plan{dnnl::matmul(made), place(a), place(b), {}, place(y), place(made.scratchpad_desc()), {}, 0};
    plan.scratch_bytes = made.scratchpad_desc().get_size();
    plan.arguments = {{DNNL_ARG_SRC, plan.a},
                      {DNNL_ARG_WEIGHTS, plan.b},
                      {DNNL_ARG_DST, plan.y},
                      {DNNL_ARG_SCRATCHPAD, plan.scratchpad}};
    if (with_bias) {
        plan.bias = place(bias);
        plan.arguments.emplace(DNNL_ARG_BIAS, plan.bias);
    }
    return plan;
}

void library_matmul(const MatmulAttrs& attrs, const Extents& e, const float* a, const float* b,
                    const float* bias, float* y) {
    thread_local cpu::PlanCache<Plan> plans(kMaxPlans);
    const cpu::PlanKey key{e.batch,           e.rows,
                           e.columns,         e.inner,
                           e.a_has_batch,     e.b_has_batch,
                           attrs.transpose_a, attrs.transpose_b,
                           bias != nullptr,   omp_get_max_threads()};
    Plan& plan = plans.get(key, [&] { return make_plan(attrs, e, bias != nullptr); });
    plan.a.set_data_handle(const_cast<float*>(a));
    plan.b.set_data_handle(const_cast<float*>(b));
    plan.y.set_data_handle(y);
    if (bias != nullptr) {
        plan.bias.set_data_handle(const_cast<float*>(bias));
    }
    plan.scratchpad.set_data_handle(cpu::scratch_memory().reserve(plan.scratch_bytes));
    plan.primitive.execute(cpu::dnnl_stream(), plan.arguments);
    cpu::dnnl_stream().wait();
}

void double_matmul(const MatmulAttrs& attrs, const Extents& e, const Tensor& a, const Tensor& b,
                   const Tensor& bias, Tensor& y) {
    const auto operand = [](const Tensor& t, int64_t offset, bool transpose) {
        const int64_t columns = t.dim(-1);
        return cpu::DoubleMatrix{buffer<double>(t) + offset, transpose ? 1 : columns,
                                 transpose ? columns : 1};
    };
    for (int64_t n = 0; n < e.batch; ++n) {
        cpu::multiply(e.rows, e.columns, e.inner,
                      operand(a, e.a_has_batch ? n * e.rows * e.inner : 0, attrs.transpose_a),
                      operand(b, e.b_has_batch ? n * e.inner * e.columns : 0, attrs.transpose_b),
                      bias.defined() ? buffer<double>(bias) : nullptr,
                      buffer<double>(y) + n * e.rows * e.columns);
    }
}

}  // namespace

void CpuBackend::matmul(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Tensor& bias,
                        Tensor& y) {
    if (y.dtype() != DType::f32 && y.dtype() != DType::f64) {
        return ReferenceBackend::matmul(attrs, a, b, bias, y);
    }
    if (y.numel() == 0) {
        return;
    }
    const Extents e = extents_of(attrs, a, b, y);
    if (y.dtype() == DType::f64) {
        return double_matmul(attrs, e, a, b, bias, y);
    }
    const auto* left = buffer<float>(a);
    const auto* right = buffer<float>(b);
    const auto* row = bias.defined() ? buffer<float>(bias) : nullptr;
    auto* out = buffer<float>(y);
    const int64_t products = e.rows * e.columns * e.inner;
    if (e.inner > 0 && (products > kSmallProducts || e.inner > cpu::kSmallInner)) {
        BACKLIGHT_DNNL_CHECK(library_matmul(attrs, e, left, right, row, out));
        return;
    }
    const int64_t step_a = e.a_has_batch ? e.rows * e.inner : 0;
    const int64_t step_b = e.b_has_batch ? e.inner * e.columns : 0;
    cpu::parallel_items(e.batch, products / 8 + 1, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) {
            cpu::small_matmul({left + n * step_a, right + n * step_b, row, out + n * e.rows * e.columns,
                               e.rows, e.columns, e.inner, attrs.transpose_a, attrs.transpose_b});
        }
    });
}

}  // namespace backlight
