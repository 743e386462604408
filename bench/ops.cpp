// Forward, and forward with backward, of every row of the table of op cases (tests/autograd/op_cases.h), f32.
//   bench_ops --benchmark_filter='conv2d.*backward'
#include <benchmark/benchmark.h>

#include "autograd/grad.h"
#include "autograd/op.h"
#include "tests/autograd/op_cases.h"

int main(int argc, char** argv) {
    using namespace backlight;
    benchmark::Initialize(&argc, argv);
    for (const test::OpCase& c : test::op_cases()) {
        benchmark::RegisterBenchmark((c.name() + "/forward").c_str(), [&c](benchmark::State& state) {
            const NoGrad off;
            const Variables inputs = test::draw_inputs(c, DType::f32, 1);
            for (auto _ : state) {
                benchmark::DoNotOptimize(c.run(inputs));
            }
        })->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark((c.name() + "/backward").c_str(), [&c](benchmark::State& state) {
            const Variables inputs = test::draw_inputs(c, DType::f32, 1);
            for (auto _ : state) {
                const Variable y = c.run(inputs);
                if (!y.requires_grad()) {
                    state.SkipWithError("has no gradient");
                    break;
                }
                const Variable seed = Tensor::ones(y.shape(), y.dtype());
                benchmark::DoNotOptimize(grad(y, seed, inputs, {.allow_unused = true}));
            }
        })->Unit(benchmark::kMicrosecond);
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
