// Kernels made by hand, run for real.
//
// Builds kiln_kernel structs, compiles them through the CPU backend's C API, links the objects to a shared object,
// loads it, executes it on a number of threads, and evaluates the same kernel in the plainest way for comparison.
#pragma once

#include "runtime/backend/Tables.h"
#include <deque>
#include <memory>
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

/// A tensor's memory.
struct Tensor {
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  int64_t count() const;
  Number get(int64_t i) const;
  void set(int64_t i, Number value); // rounds and wraps as a conversion does
  template <class T> T *data() { return reinterpret_cast<T *>(bytes.data()); }
  static Tensor make(kiln_dtype dtype, std::vector<int64_t> shape);
};

struct Attr {
  std::string name;
  kiln_attr_kind kind;
  int64_t i = 0;
  std::string s;
  std::vector<int64_t> ints;
  Dims extents;
};
Attr integer(std::string name, int64_t value);
Attr string(std::string name, std::string value);
Attr ints(std::string name, std::vector<int64_t> values);
Attr extents(std::string name, Dims values);
Attr bytes(const std::string &value);

class TestKernel {
public:
  explicit TestKernel(std::string name = "k0", std::string shape = "any");

  uint32_t input(kiln_dtype dtype, Dims dims);
  uint32_t op(std::string name, std::vector<uint32_t> operands, kiln_dtype dtype, Dims dims,
              std::vector<Attr> attrs = {});
  /// The type of the first operand.
  uint32_t op(std::string name, std::vector<uint32_t> operands);
  uint32_t constant(kiln_dtype dtype, double value, Dims dims = {});
  uint32_t constant(const Tensor &value);
  /// Two results (sort, top_k).
  std::pair<uint32_t, uint32_t> op2(std::string name, uint32_t operand, kiln_dtype first, kiln_dtype second, Dims dims,
                                    std::vector<Attr> attrs);
  void output(uint32_t value, int32_t alias = -1);
  /// Values of the extents that dims name, for a run (in the order of their slots).
  void bindExtents(std::vector<int64_t> values) { extentValues = std::move(values); }

  const kiln_kernel &get(); // valid until the next change
  std::vector<int64_t> shapeOf(uint32_t value) const;
  kiln_dtype dtypeOf(uint32_t value) const { return types[value].dtype; }
  size_t valueCount() const { return types.size(); }

  struct Type {
    kiln_dtype dtype;
    Dims dims;
  };
  struct OpData {
    std::string name;
    std::vector<uint32_t> operands, results;
    std::vector<Attr> attrs;
    const Attr *find(const std::string &name) const;
    int64_t integer(const std::string &name, int64_t otherwise = 0) const;
    std::vector<int64_t> ints(const std::string &name) const;
  };
  std::string name;
  int32_t shape = KILN_SHAPE_ANY;
  std::vector<Type> types;
  std::vector<uint32_t> inputs, outputs;
  std::vector<int32_t> alias;
  std::vector<OpData> ops;
  std::vector<int64_t> extentValues, extentBounds;
  std::vector<int64_t> valuesOf(const Dims &dims) const;

private:
  void note(const Dims &dims);
  kiln_kernel built{};
  std::vector<ValueRow> builtTypes;
  std::vector<OpRow> builtOps;
  std::deque<std::vector<kiln_extent>> extentStore;
  std::deque<std::vector<kiln_attr>> attrStore;
};

/// The kernel's outputs by plain loops in double (or int64), one op after another.
std::vector<Tensor> evaluate(const TestKernel &kernel, const std::vector<Tensor> &inputs);

struct RunOptions {
  uint32_t threads = 1;
  std::string cpu = "native";
  std::vector<bool> inPlace; // output i lies in the memory of the input that its alias names
  int repeat = 1;
};

struct RunResult {
  std::string error; // of claim, compile, link, load or execute; empty: none
  std::vector<Tensor> outputs;
  kiln_status status{};
  double seconds = 0; // of the fastest execution
};

RunResult run(TestKernel &kernel, const std::vector<Tensor> &inputs, const RunOptions &options = {});

/// Compiles a program and links it to a loaded shared object; null with a message in `error`.
std::shared_ptr<void> loadArtifact(const kiln_program &program, const std::string &cpu, const void *&artifact,
                                   std::string &error);

/// A host with real threads.
class Threads {
public:
  explicit Threads(uint32_t count);
  ~Threads();
  kiln_host host{};

private:
  struct State;
  std::unique_ptr<State> state;
};

/// Uniform numbers in [low, high), the same ones every time.
Tensor randomTensor(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint32_t seed = 1);

/// Runs on 1, 2 and 3 threads; the bits must agree among them, the values with evaluate() within `tolerance`, relative
/// to max(1, |expected|).
void check(TestKernel &kernel, const std::vector<Tensor> &inputs, double tolerance, const RunOptions &options = {});

} // namespace kiln::test
