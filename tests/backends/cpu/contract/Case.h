// A kernel with one product, its inputs, and what must come out.
#pragma once

#include "tests/backends/cpu/contract/Reference.h"
#include "tests/backends/cpu/contract/Runner.h"
#include "gtest/gtest.h"
#include <cmath>

namespace contract {

/// Memory of a tensor in a kernel's type. Fills are small whole numbers, so that sums in any order are exact.
std::vector<char> encode(const Tensor &tensor, kiln_dtype dtype);
Tensor decode(const std::vector<char> &bytes, kiln_dtype dtype, const Ints &dims);
Tensor filled(const Ints &dims, unsigned seed, int64_t range = 4);
size_t sizeOf(kiln_dtype dtype);

/// Compiles and runs; the outputs, decoded. Empty, with a failure recorded, where that does not work. The bits at 1, 2,
/// 3 and 8 threads must agree.
std::vector<Tensor> runKernel(KernelSpec &spec, const std::vector<Tensor> &inputs, const std::vector<Ints> &outputDims,
                              const std::vector<int64_t> &extents = {}, const std::string &cpu = "native");

void expectEqual(const Tensor &actual, const Tensor &expected, double tolerance = 0);

} // namespace contract
