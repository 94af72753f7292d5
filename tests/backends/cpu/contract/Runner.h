// Kernels made by hand, compiled by the CPU backend's compile side and run in this process.
#pragma once

#include "backends/cpu/artifact.h"
#include "runtime/backend/Tables.h"
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace contract {

/// A dimension: constant, or extent `slot` of the kernel with a bound.
struct Dim {
  int64_t value = 0;
  int32_t slot = -1;
  Dim(int64_t constant) : value(constant) {}
  Dim(int64_t bound, int32_t slot) : value(bound), slot(slot) {}
};

/// A kiln_kernel under construction; owns all that it points to.
class KernelSpec {
public:
  uint32_t value(kiln_dtype dtype, const std::vector<Dim> &dims);
  uint32_t input(kiln_dtype dtype, const std::vector<Dim> &dims);
  using Ints = std::vector<std::pair<std::string, std::vector<int64_t>>>;
  using Numbers = std::vector<std::pair<std::string, int64_t>>;
  uint32_t op(const std::string &name, const std::vector<uint32_t> &operands, uint32_t result, const Ints &lists = {},
              const Numbers &numbers = {});
  void output(uint32_t value) { outputs.push_back(value); }
  kiln_kernel finish(const std::string &name);
  const std::vector<Dim> &dims(uint32_t v) const { return shapes[v]; }
  kiln_dtype dtype(uint32_t v) const { return types[v].dtype; }

  std::vector<uint32_t> inputs, outputs;
  std::vector<int64_t> bounds; // of the extents

private:
  std::vector<std::vector<Dim>> shapes;
  std::vector<kiln::ValueRow> types;
  std::vector<kiln::OpRow> ops;
  std::deque<std::string> strings;
  std::deque<std::vector<uint32_t>> numbers;
  std::deque<std::vector<int64_t>> lists;
  std::deque<std::vector<kiln_attr>> attributes;
  std::deque<std::vector<kiln_extent>> extents;
  std::vector<int32_t> alias;
  kiln_string text(const std::string &s);
  void extentSlots(const std::vector<Dim> &dims);
};

/// Compiled kernels in this process.
class Compiled {
public:
  /// Null, with a sentence in `error`.
  static std::unique_ptr<Compiled> compile(std::vector<kiln_kernel> kernels, std::string &error,
                                           const std::string &cpu = "native");
  ~Compiled();
  static constexpr int32_t overran = 1000;
  const kiln_cpu_artifact *artifact() const { return table; }
  int64_t scratchBytes(size_t kernel) const { return scratch[kernel]; }
  double compileSeconds = 0;

  /// Runs a kernel on so many threads, in memory filled with NaN bytes. args: inputs, then outputs.
  /// The status of the first worker that reported; its kind is `overran` where a kernel wrote beyond its scratch.
  kiln_status run(size_t kernel, const std::vector<void *> &args, const std::vector<int64_t> &extents,
                  unsigned threads);

private:
  Compiled();
  struct Impl;
  std::unique_ptr<Impl> impl;
  const kiln_cpu_artifact *table = nullptr;
  std::vector<int64_t> scratch;
};

} // namespace contract
