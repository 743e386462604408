// Kernels of the CPU backend beside the machine's limits, measured in the same run:
//   copy       a threaded memcpy of as many bytes: the bandwidth that a pass over memory can reach
//   product    a product of large matrices: the arithmetic that one core or all reach
// Kernel and limit take turns and each is judged by its best repetition. `of_copy` and `of_product` compare
// the CPU time of all threads, which other work on the machine disturbs less than the time on the clock;
// best_us is on the clock.
//   OMP_WAIT_POLICY=passive bench_kernels --benchmark_filter=elementwise
#include <benchmark/benchmark.h>

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <vector>

#include "core/backend.h"

using namespace backlight;

namespace {

Backend& cpu() { return cpu_backend(); }

struct Time {
    double wall = 1e9, cpu = 1e9;
    void keep_best(const Time& other) {
        wall = std::min(wall, other.wall);
        cpu = std::min(cpu, other.cpu);
    }
};

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <typename Run>
Time time_of(const Run& run) {
    const double cpu_start = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    run();
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {wall, cpu_seconds() - cpu_start};
}

// Copies half of `bytes`, so that as many are read and written.
void copy_bytes(double bytes) {
    static std::vector<std::byte> from(size_t{512} << 20, std::byte{1});
    static std::vector<std::byte> to(size_t{512} << 20);
    const auto half = std::min(static_cast<size_t>(bytes / 2), to.size());
#pragma omp parallel if (half > (1U << 16))
    {
        const auto share = half / static_cast<size_t>(omp_get_num_threads());
        const auto at = share * static_cast<size_t>(omp_get_thread_num());
        std::memcpy(to.data() + at, from.data() + at, share);
    }
}

constexpr int64_t kProduct = 768;
constexpr double kProductOperations = 2.0 * kProduct * kProduct * kProduct;
void large_product() {
    static const Tensor a = Tensor::ones({kProduct, kProduct});
    static Tensor y = Tensor::empty({kProduct, kProduct});
    cpu().matmul({}, a, a, {}, y);
}

// A kernel that moves `bytes` against a copy.
void measure_bytes(benchmark::State& state, double bytes, const std::function<void()>& run) {
    Time kernel;
    Time copy;
    run();
    copy_bytes(bytes);
    for (auto _ : state) {
        kernel.keep_best(time_of(run));
        copy.keep_best(time_of([&] { copy_bytes(bytes); }));
    }
    state.counters["best_us"] = kernel.wall * 1e6;
    state.counters["GB/s"] = bytes / kernel.wall * 1e-9;
    state.counters["copy_GB/s"] = bytes / copy.wall * 1e-9;
    state.counters["of_copy"] = copy.cpu / kernel.cpu;
}

// A kernel of `operations`, repeated `repeats` times within a measurement, against a large product.
void measure_operations(benchmark::State& state, double operations, int repeats,
                        const std::function<void()>& run) {
    Time kernel;
    Time product;
    run();
    for (auto _ : state) {
        kernel.keep_best(time_of([&] {
            for (int i = 0; i < repeats; ++i) {
                run();
            }
        }));
        product.keep_best(time_of(large_product));
    }
    operations *= repeats;
    state.counters["best_us"] = kernel.wall / repeats * 1e6;
    state.counters["GFLOP/s"] = operations / kernel.wall * 1e-9;
    state.counters["product_GFLOP/s"] = kProductOperations / product.wall * 1e-9;
    state.counters["of_product"] = (operations / kernel.cpu) / (kProductOperations / product.cpu);
}

void register_pass(const std::string& name, const Shape& shape, double passes,
                   const std::function<void(Tensor&)>& run) {
    const auto bytes = static_cast<double>(shape.numel()) * 4;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=](benchmark::State& state) {
                                     Tensor y = Tensor::zeros(shape);
                                     measure_bytes(state, bytes * passes, [&] { run(y); });
                                 })
        ->UseRealTime()
        ->Iterations(15);
}

void register_elementwise() {
    for (const Shape& shape : {Shape{8, 112, 112, 256}, Shape{8, 28, 28, 128}}) {
        const std::string size = "/" + std::to_string(shape.numel() >> 10) + "Ki";
        const Tensor a = Tensor::ones(shape);
        const Tensor b = Tensor::ones(shape);
        const Tensor row = Tensor::ones({shape[3]});
        const Tensor column = Tensor::ones({8, shape[1], shape[2], 1});
        const auto add = [&](const std::string& name, double passes,
                             const std::function<void(Tensor&)>& run) {
            register_pass("elementwise/" + name + size, shape, passes, run);
        };
        add("fill", 1, [=](Tensor& y) { cpu().fill(y, 1); });
        add("copy", 2, [=](Tensor& y) { cpu().copy(a, y); });
        add("relu", 2, [=](Tensor& y) { cpu().unary(UnaryOp::relu, a, 0, y); });
        add("exp", 2, [=](Tensor& y) { cpu().unary(UnaryOp::exp, a, 0, y); });
        add("tanh", 2, [=](Tensor& y) { cpu().unary(UnaryOp::tanh, a, 0, y); });
        add("add", 3, [=](Tensor& y) { cpu().binary(BinaryOp::add, a, b, y); });
        add("divide_stabilized", 3, [=](Tensor& y) { cpu().divide_stabilized({.eps = 1e-6}, a, b, y); });
        add("divide_row", 2, [=](Tensor& y) { cpu().binary(BinaryOp::divide, a, row, y); });
        add("multiply_column", 2, [=](Tensor& y) { cpu().binary(BinaryOp::multiply, a, column, y); });
        add("accumulate", 3, [=](Tensor& y) { cpu().accumulate(y, a); });
        add("affine_relu", 2, [=](Tensor& y) { cpu().channel_affine(a, row, row, {}, true, y); });
        add("uniform", 1, [=](Tensor& y) { cpu().random_uniform(y, {}); });
        add("normal", 1, [=](Tensor& y) { cpu().random_normal(y, {}); });
    }
}

void register_reductions() {
    const Shape shape{8, 112, 112, 64};
    const Tensor x = Tensor::ones(shape);
    Tensor channel = Tensor::ones({64});
    const auto add = [&](const std::string& name, double passes, const std::function<void(Tensor&)>& run) {
        register_pass("reduce/" + name, shape, passes, run);
    };
    add("sum_channels", 1, [=](Tensor&) {
        Tensor y = channel;
        cpu().reduce(ReduceOp::sum, x, 0b0111, y);
    });
    add("sum_all", 1, [=](Tensor&) {
        Tensor y = Tensor::empty({});
        cpu().reduce(ReduceOp::sum, x, 0b1111, y);
    });
    add("sum_last", 1, [=](Tensor&) {
        Tensor y = Tensor::empty({8, 112, 112, 1});
        cpu().reduce(ReduceOp::sum, x, 0b1000, y);
    });
    add("max_all", 1, [=](Tensor&) {
        Tensor y = Tensor::empty({});
        cpu().reduce(ReduceOp::maximum, x, 0b1111, y);
    });
    add("statistics", 1, [=](Tensor&) {
        Tensor m = channel;
        Tensor v = Tensor::empty({64});
        cpu().channel_statistics(x, m, v);
    });
    add("batch_norm_backward", 8,
        [=](Tensor& y) {  // x, d_y and the ReLU's output twice, d_x once written and once less
            Tensor d_scale = Tensor::empty({64});
            Tensor d_shift = Tensor::empty({64});
            Tensor none;
            cpu().batch_norm_backward(x, x, channel, channel, channel, {x, {}}, y, d_scale, d_shift, none);
        });
    add("nhwc_to_nchw", 2, [=](Tensor& y) {
        const int axes[] = {0, 3, 1, 2};
        cpu().permute(x, axes, y);
    });
    const PoolAttrs pool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    Tensor index = Tensor::empty({8, 56, 56, 64}, DType::u8);
    const Tensor small = Tensor::ones({8, 56, 56, 64});
    {
        Tensor y = Tensor::empty({8, 56, 56, 64});
        cpu().max_pool(pool, x, y, index);
    }
    add("max_pool", 1.3125, [=](Tensor&) {
        Tensor y = Tensor::empty({8, 56, 56, 64});
        Tensor i = index;
        cpu().max_pool(pool, x, y, i);
    });
    add("max_pool_scatter", 1.3125, [=](Tensor& y) { cpu().max_pool_scatter(pool, small, index, y); });
    add("max_pool_gather", 1.3125, [=](Tensor&) {
        Tensor y = Tensor::empty({8, 56, 56, 64});
        cpu().max_pool_gather(pool, x, index, y);
    });
    add("avg_pool", 1.25, [=](Tensor&) {
        Tensor y = Tensor::empty({8, 56, 56, 64});
        cpu().avg_pool(pool, x, y);
    });
    add("avg_pool_adjoint", 1.25, [=](Tensor& y) { cpu().avg_pool_adjoint(pool, small, y); });
    add("global_avg_pool", 1, [=](Tensor&) {
        Tensor y = Tensor::empty({8, 1, 1, 64});
        cpu().adaptive_avg_pool(x, y);
    });
    add("softmax_rows_of_64", 2, [=](Tensor& y) { cpu().softmax(x, y); });
}

void register_optimisers() {
    const Shape shape{25'600'000};
    const Tensor g = Tensor::full(shape, 1e-3);
    Tensor v = Tensor::full(shape, 1.0);
    Tensor m = Tensor::full(shape, 1.0);
    register_pass("optimizer/sgd_momentum", shape, 5, [=](Tensor& w) {
        Tensor s = v;
        cpu().sgd_step({.momentum = 0.9, .weight_decay = 1e-4}, w, g, s);
    });
    register_pass("optimizer/adam", shape, 7, [=](Tensor& w) {
        Tensor s = m;
        Tensor t = v;
        cpu().adam_step({}, w, g, s, t);
    });
}

void register_matmuls() {
    struct Case {
        int64_t rows, columns, inner;
        bool a, b;
    };
    std::vector<Case> cases;
    constexpr int64_t widths[] = {5, 64, 32, 16, 2};
    for (int layer = 0; layer < 4; ++layer) {  // the products of a small network, batch 32
        cases.push_back({32, widths[layer + 1], widths[layer], false, true});   // y = x W^T
        cases.push_back({32, widths[layer], widths[layer + 1], false, false});  // d_x = d_y W
        cases.push_back({widths[layer + 1], widths[layer], 32, true, false});   // d_W = d_y^T x
    }
    for (const int64_t n : {48, 64, 96, 128, 192, 256, 384, 512}) {
        cases.push_back({n, n, n, false, false});
        cases.push_back({n, n, n, false, true});
    }
    cases.push_back({8, 1000, 2048, false, true});
    cases.push_back({8, 4096, 25088, false, true});
    for (const Case& c : cases) {
        const std::string name = "matmul/" + std::to_string(c.rows) + "x" + std::to_string(c.columns) + "x" +
                                 std::to_string(c.inner) + (c.a ? "/T" : "/N") + (c.b ? "T" : "N");
        benchmark::RegisterBenchmark(
            name.c_str(),
            [=](benchmark::State& state) {
                const Tensor a = Tensor::ones(c.a ? Shape{c.inner, c.rows} : Shape{c.rows, c.inner});
                const Tensor b = Tensor::ones(c.b ? Shape{c.columns, c.inner} : Shape{c.inner, c.columns});
                Tensor y = Tensor::empty({c.rows, c.columns});
                const double operations = 2.0 * static_cast<double>(c.rows * c.columns * c.inner);
                measure_operations(state, operations, operations < 2e6 ? 100 : 1, [&] {
                    cpu().matmul({c.a, c.b}, a, b, {}, y);
                });
            })
            ->UseRealTime()
            ->Iterations(10);
    }
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    register_elementwise();
    register_reductions();
    register_optimisers();
    register_matmuls();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
