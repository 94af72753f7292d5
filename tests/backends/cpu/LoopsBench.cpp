// Loop kernels against the memory and the polynomials.
//
// One line a kernel: nanoseconds an element and bytes a second, on one thread and on two. Run by hand.
#include "tests/backends/cpu/TestKernel.h"
#include <cstdio>
#include <functional>

using namespace kiln::test;

namespace {
void report(const char *name, TestKernel &k, const std::vector<Tensor> &inputs, double elements, double bytes) {
  double seconds[2];
  for (uint32_t threads : {1u, 2u}) {
    RunOptions options;
    options.threads = threads;
    options.repeat = elements > 1e7 ? 10 : 200;
    RunResult result = run(k, inputs, options);
    if (!result.error.empty()) {
      std::printf("%-28s %s\n", name, result.error.c_str());
      return;
    }
    seconds[threads - 1] = result.seconds;
  }
  std::printf("%-28s %10.1f us %8.3f ns/element %7.1f GB/s | two threads %10.1f us %7.1f GB/s\n", name,
              seconds[0] * 1e6, seconds[0] * 1e9 / elements, bytes / seconds[0] / 1e9, seconds[1] * 1e6,
              bytes / seconds[1] / 1e9);
}

uint32_t reduceRows(TestKernel &k, const char *kind, uint32_t x, int64_t rows) {
  return k.op("reduce", {x}, KILN_F32, {rows}, {string("kind", kind), ints("axes", {1})});
}
uint32_t widen(TestKernel &k, uint32_t x, int64_t rows, int64_t n) {
  return k.op("broadcast", {x}, KILN_F32, {rows, n}, {ints("axes", {0})});
}

void unary(const char *op, int64_t n) {
  TestKernel k;
  k.output(k.op(op, {k.input(KILN_F32, {n})}));
  report(op, k, {randomTensor(KILN_F32, {n}, 0.1, 4)}, static_cast<double>(n), 8.0 * static_cast<double>(n));
}

void softmax(int64_t rows, int64_t n) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {rows, n});
  uint32_t e = k.op("exp", {k.op("sub", {x, widen(k, reduceRows(k, "max", x, rows), rows, n)})});
  k.output(k.op("div", {e, widen(k, reduceRows(k, "sum", e, rows), rows, n)}));
  std::string name = "softmax " + std::to_string(rows) + "x" + std::to_string(n);
  report(name.c_str(), k, {randomTensor(KILN_F32, {rows, n}, -4, 4)}, static_cast<double>(rows * n),
         8.0 * static_cast<double>(rows * n));
}

void layerNorm(int64_t rows, int64_t n) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {rows, n}), scale = k.input(KILN_F32, {n}), bias = k.input(KILN_F32, {n});
  uint32_t inverse = k.constant(KILN_F32, 1.0 / static_cast<double>(n), {rows});
  uint32_t mean = k.op("mul", {reduceRows(k, "sum", x, rows), inverse});
  uint32_t centred = k.op("sub", {x, widen(k, mean, rows, n)});
  uint32_t variance = k.op("mul", {reduceRows(k, "sum", k.op("mul", {centred, centred}), rows), inverse});
  uint32_t r = k.op("rsqrt", {k.op("add", {variance, k.constant(KILN_F32, 1e-5, {rows})})});
  uint32_t normal = k.op("mul", {centred, widen(k, r, rows, n)});
  auto columns = [&](uint32_t v) { return k.op("broadcast", {v}, KILN_F32, {rows, n}, {ints("axes", {1})}); };
  k.output(k.op("add", {k.op("mul", {normal, columns(scale)}), columns(bias)}));
  std::string name = "layer norm " + std::to_string(rows) + "x" + std::to_string(n);
  report(name.c_str(), k,
         {randomTensor(KILN_F32, {rows, n}, -1, 1), randomTensor(KILN_F32, {n}, -1, 1),
          randomTensor(KILN_F32, {n}, -1, 1)},
         static_cast<double>(rows * n), 8.0 * static_cast<double>(rows * n));
}

void adamW(int64_t n) {
  TestKernel k;
  uint32_t p = k.input(KILN_F32, {n}), g = k.input(KILN_F32, {n}), m = k.input(KILN_F32, {n}),
           v = k.input(KILN_F32, {n}), rate = k.input(KILN_F32, {});
  auto c = [&](double x) { return k.constant(KILN_F32, x, {n}); };
  uint32_t wide = k.op("broadcast", {rate}, KILN_F32, {n}, {ints("axes", {})});
  uint32_t m1 = k.op("add", {k.op("mul", {m, c(0.9)}), k.op("mul", {g, c(0.1)})});
  uint32_t v1 = k.op("add", {k.op("mul", {v, c(0.99)}), k.op("mul", {k.op("mul", {g, g}), c(0.01)})});
  uint32_t denominator = k.op("add", {k.op("mul", {k.op("sqrt", {v1}), c(1.1)}), c(1e-8)});
  uint32_t decayed = k.op("mul", {p, c(0.999)});
  k.output(k.op("sub", {decayed, k.op("div", {k.op("mul", {m1, wide}), denominator})}), 0);
  k.output(m1, 2);
  k.output(v1, 3);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 4; ++i)
    inputs.push_back(randomTensor(KILN_F32, {n}, 0.1, 1, static_cast<uint32_t>(i)));
  inputs.push_back(randomTensor(KILN_F32, {}, 0, 1));
  std::string name = "adamw " + std::to_string(n);
  report(name.c_str(), k, inputs, static_cast<double>(n), 28.0 * static_cast<double>(n));
}

void sum(int64_t rows, int64_t n, int64_t axis) {
  TestKernel k;
  uint32_t x = k.input(KILN_F32, {rows, n});
  k.output(k.op("reduce", {x}, KILN_F32, {axis == 0 ? n : rows}, {string("kind", "sum"), ints("axes", {axis})}));
  std::string name = (axis ? "row sum " : "column sum ") + std::to_string(rows) + "x" + std::to_string(n);
  report(name.c_str(), k, {randomTensor(KILN_F32, {rows, n}, -1, 1)}, static_cast<double>(rows * n),
         4.0 * static_cast<double>(rows * n));
}

void transposed(std::vector<int64_t> shape, std::vector<int64_t> permutation) {
  TestKernel k;
  Dims from(shape.begin(), shape.end()), to;
  std::string name = "transpose";
  double count = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    to.push_back(shape[static_cast<size_t>(permutation[d])]);
    name += " " + std::to_string(shape[d]) + ":" + std::to_string(permutation[d]);
    count *= static_cast<double>(shape[d]);
  }
  k.output(k.op("transpose", {k.input(KILN_F32, from)}, KILN_F32, to, {ints("permutation", permutation)}));
  report(name.c_str(), k, {randomTensor(KILN_F32, shape, -1, 1)}, count, 8 * count);
}

void pool(const char *op, int64_t n, int64_t c, int64_t h, int64_t w) {
  TestKernel k("k0", "single");
  std::vector<Attr> attrs{string("kind", "max"), ints("window", {1, 1, 2, 2}), ints("strides", {1, 1, 2, 2}),
                          ints("low", {0, 0, 0, 0}), ints("high", {0, 0, 0, 0})};
  uint32_t x = k.input(KILN_F32, {n, c, h, w});
  std::vector<Tensor> inputs{randomTensor(KILN_F32, {n, c, h, w}, -1, 1)};
  if (std::string(op) == "reduce_window") {
    k.output(k.op(op, {x}, KILN_F32, {n, c, h / 2, w / 2}, attrs));
  } else {
    uint32_t g = k.input(KILN_F32, {n, c, h / 2, w / 2});
    k.output(k.op(op, {x, g}, KILN_F32, {n, c, h, w}, attrs));
    inputs.push_back(randomTensor(KILN_F32, {n, c, h / 2, w / 2}, -1, 1));
  }
  report(op, k, inputs, static_cast<double>(n * c * h * w), 4.0 * static_cast<double>(n * c * h * w));
}
} // namespace

int main() {
  pool("reduce_window", 64, 32, 28, 28);
  pool("reduce_window_grad", 64, 32, 28, 28);
  pool("reduce_window", 64, 64, 12, 12);
  pool("reduce_window_grad", 64, 64, 12, 12);
  for (const char *op : {"neg", "exp", "log", "tanh", "erf", "sigmoid", "sin", "rsqrt"})
    unary(op, 16384);
  softmax(3072, 64);
  softmax(768, 256);
  softmax(256, 50257);
  layerNorm(768, 128);
  layerNorm(3072, 384);
  adamW(800000);
  adamW(20000000);
  sum(768, 512, 0);
  sum(768, 128, 0);
  sum(3072, 1536, 0);
  sum(64, 800000, 1);
  sum(1, 800000, 1);
  transposed({12, 64, 4, 32}, {0, 2, 1, 3});
  transposed({12, 64, 4, 32}, {0, 2, 3, 1});
  transposed({512, 768}, {1, 0});
  return 0;
}
