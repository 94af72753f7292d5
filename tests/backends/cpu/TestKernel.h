// Kernels made by hand and run for real: the conformance kit's kernels, programs, sessions and judge, with operands
// that a test chooses.
#pragma once

#include "backends/conformance/Judge.h"
#include "backends/conformance/Programs.h"

#include <list>
#include <string>
#include <vector>

namespace kiln::test {

/// A dimension: constant, or the kernel's extent of that number with an upper bound.
struct Dim {
  int64_t value;
  int32_t slot = -1;
  Dim(int64_t value) : value(value) {}
  Dim(int64_t bound, int32_t slot) : value(bound), slot(slot) {}
};
using Dims = std::vector<Dim>;

/// An element of any dtype.
struct Number {
  double real = 0;
  int64_t whole = 0;
};

struct Tensor : reference::Tensor {
  Tensor() = default;
  explicit Tensor(reference::Tensor values) : reference::Tensor(std::move(values)) {}
  static Tensor make(kiln_dtype dtype, std::vector<int64_t> shape);
  static Tensor from(kiln_dtype dtype, std::vector<int64_t> shape, const conformance::Bytes &bytes);

  int64_t count() const { return size(); }
  Number get(int64_t i) const;
  void set(int64_t i, Number value); // rounds and wraps as a conversion does
  conformance::Bytes bytes() const;
};

using Attr = conformance::Attribute;
Attr integer(std::string name, int64_t value);
Attr string(std::string name, std::string value);
Attr ints(std::string name, std::vector<int64_t> values);
Attr extents(std::string name, const Dims &values);

class TestKernel : public conformance::Kernel {
public:
  explicit TestKernel(std::string name = "k0", const std::string &shape = "any")
      : Kernel(shape), name(std::move(name)) {}

  uint32_t input(kiln_dtype dtype, const Dims &dims) { return Kernel::input(dtype, told(dims)); }
  uint32_t op(std::string name, std::vector<uint32_t> operands, kiln_dtype dtype, const Dims &dims,
              std::vector<Attr> attrs = {});
  /// The type of the first operand.
  uint32_t op(std::string name, std::vector<uint32_t> operands);
  uint32_t constant(kiln_dtype dtype, double value, const Dims &dims = {});
  uint32_t constant(const Tensor &value);
  /// Two results (sort, top_k).
  std::pair<uint32_t, uint32_t> op2(std::string name, uint32_t operand, kiln_dtype first, kiln_dtype second,
                                    const Dims &dims, std::vector<Attr> attrs);
  /// Values of the extents that dims name, for a run (in the order of their slots).
  void bindExtents(std::vector<int64_t> values) { extentValues = std::move(values); }

  const kiln_kernel &get() { return table(name); } // valid until the next change
  std::vector<int64_t> shapeOf(uint32_t value) const { return shape(value, extentValues); }

  std::string name;
  std::vector<int64_t> extentValues;

private:
  conformance::Dims told(const Dims &dims);
};

/// Uniform numbers in [low, high), the same ones every time.
Tensor randomTensor(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint32_t seed = 1);

/// Whole ones from -range to range.
Tensor wholeNumbers(kiln_dtype dtype, std::vector<int64_t> shape, uint32_t seed, int64_t range = 4);

/// The kernel's outputs as the judge has them: in float64.
std::vector<Tensor> evaluate(TestKernel &kernel, const std::vector<Tensor> &inputs);

/// Fails the running test where the judge finds an output of these inputs that is not within `tolerance` of max(1,
/// |exact|).
void judge(TestKernel &kernel, const std::vector<Tensor> &inputs, const std::vector<conformance::Bytes> &outputs,
           double tolerance, const std::string &what, bool flushesDenormals = false);

std::vector<conformance::Bytes> bytesOf(const std::vector<Tensor> &tensors);

struct RunResult {
  std::string error;                     // of claim, compile, link, load or execute; empty: none
  std::vector<conformance::Bytes> bytes; // of the outputs
  std::vector<Tensor> outputs;
  kiln_status status{};
  double seconds = 0; // of the fastest execution
};

/// Kernels as one program of a backend, each an entry.
class Launches {
public:
  Launches(std::shared_ptr<host::Backend> backend, conformance::Linker linker, kiln_target target)
      : backend(std::move(backend)), linker(std::move(linker)), target(target) {}

  /// Whether the backend takes the kernel whole; then it is the next one. Else why not.
  bool claim(TestKernel &kernel, std::string &reason);
  /// After all claims.
  bool compile(std::string &error);
  const conformance::Artifact &artifact() const { return compiled; }
  int64_t scratchBytes(size_t number) const { return parts[number].scratchBytes; }
  /// All of the result but `outputs`.
  RunResult run(conformance::Session &session, size_t number, const std::vector<conformance::Bytes> &inputs,
                bool inPlace = false, int repeat = 1);

private:
  std::shared_ptr<host::Backend> backend;
  conformance::Linker linker;
  kiln_target target;
  std::list<conformance::Case> cases;
  std::vector<TestKernel *> kernels;
  std::vector<conformance::KernelProgram::Part> parts;
  std::unique_ptr<conformance::KernelProgram> program;
  conformance::Artifact compiled;
};

/// Fills `outputs`.
void decode(const TestKernel &kernel, RunResult &result);

//===-- On a backend: TestRun.cpp here, or Vulkan's ---------------------------------------------------------------===//

struct RunOptions {
  uint32_t threads = 1;
  std::string cpu = "native";
  std::string math = ""; // or "fast"
  bool inPlace = false;  // outputs lie in the memory of the inputs that their alias names
  int repeat = 1;
};

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options = {});

/// Runs in each way that the backend has (numbers of threads, profiles): the bits must agree where it says so, the
/// values with the judge's within `tolerance`, relative to max(1, |expected|).
void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options = {});

/// Of each phase of the kernel and each of its tasks, run with inputs of zeros, how many bytes of the first output it
/// writes. Fails the running test where the kernel does not compile.
std::vector<std::vector<int64_t>> writtenByTasks(TestKernel &kernel, const std::string &cpu);

/// The first output of a kernel of one phase, of inputs of small numbers, its tasks run one by one by one worker; and
/// the same where the first input is lost behind the first task.
std::pair<conformance::Bytes, conformance::Bytes> withInputLostBehindFirstTask(TestKernel &kernel,
                                                                               const std::string &cpu);

} // namespace kiln::test
