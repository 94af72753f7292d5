// Kernels that the kit makes itself, as the tables behind the interface's opaque types.
#pragma once

#include "runtime/backend/Tables.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kiln::conformance {

using Dims = std::vector<kiln_extent>;

/// A constant extent.
inline kiln_extent fixed(int64_t value) { return {value, -1}; }

struct Attribute {
  std::string name;
  int32_t kind;
  int64_t integer = 0;
  std::string string; // STRING, BYTES
  std::vector<int64_t> ints;
  Dims extents;
  double floating = 0;

  static Attribute number(std::string name, int64_t value) {
    return {std::move(name), KILN_ATTR_INT, value, {}, {}, {}};
  }
  static Attribute real(std::string name, double value) {
    return {std::move(name), KILN_ATTR_FLOAT, 0, {}, {}, {}, value};
  }
  static Attribute text(std::string name, std::string value) {
    return {std::move(name), KILN_ATTR_STRING, 0, std::move(value), {}, {}};
  }
  static Attribute list(std::string name, std::vector<int64_t> value) {
    return {std::move(name), KILN_ATTR_INTS, 0, {}, std::move(value), {}};
  }
  static Attribute axes(std::vector<int64_t> value) { return list("axes", std::move(value)); }
  static Attribute dims(std::string name, Dims value) {
    return {std::move(name), KILN_ATTR_EXTENTS, 0, {}, {}, std::move(value)};
  }
  static Attribute bytes(std::string name, std::string value) {
    return {std::move(name), KILN_ATTR_BYTES, 0, std::move(value), {}, {}};
  }
};

class Kernel {
public:
  /// shape: as in backends/api/shapes.inc; another word is "any".
  explicit Kernel(const std::string &shape);
  Kernel(const Kernel &) = delete;
  Kernel(Kernel &&) = default;

  /// An extent that is told at the launch.
  kiln_extent extent(int64_t bound);
  uint32_t input(kiln_dtype dtype, Dims dims);
  /// Gives the op's result.
  uint32_t op(std::string name, std::vector<uint32_t> operands, kiln_dtype dtype, Dims dims,
              std::vector<Attribute> attributes = {});
  /// Adds a result to the last op.
  uint32_t another(kiln_dtype dtype, Dims dims);
  void output(uint32_t value, int32_t alias = -1);

  /// An empty region for a loop of this kernel: with its extents.
  std::shared_ptr<Kernel> region() const;
  /// A loop over a region that has its inputs and outputs; gives the op's results.
  std::vector<uint32_t> loop(std::vector<uint32_t> operands, std::shared_ptr<Kernel> region, kiln_extent count,
                             size_t carries, size_t sequences, bool reverse);

  /// The same as a table, whatever that one lives in.
  static std::shared_ptr<Kernel> of(const kiln_kernel &kernel);
  /// The same kernel with constants in place of those extents that have a value.
  std::shared_ptr<Kernel> with(const std::vector<std::optional<int64_t>> &extents) const;
  /// The same with inputs that lie otherwise (kiln_terms.layouts), and a transpose behind each.
  std::shared_ptr<Kernel> arranged(const std::vector<std::pair<uint32_t, std::vector<int64_t>>> &layouts) const;

  /// Named so; valid until the kernel changes or goes.
  const kiln_kernel &table(const std::string &name);
  /// The table as it was last asked for.
  const kiln_kernel &table() const { return table_; }

  const std::vector<uint32_t> &inputs() const { return inputs_; }
  const std::vector<uint32_t> &outputs() const { return outputs_; }
  const std::vector<int32_t> &alias() const { return alias_; }
  const std::vector<int64_t> &bounds() const { return bounds_; }
  kiln_dtype dtype(uint32_t value) const { return values_[value].dtype; }
  const Dims &dims(uint32_t value) const { return values_[value].dims; }
  /// Actual extents of a value.
  std::vector<int64_t> shape(uint32_t value, const std::vector<int64_t> &extents) const;

private:
  struct Value {
    kiln_dtype dtype;
    Dims dims;
  };
  struct Op {
    std::string name;
    std::vector<uint32_t> operands, results;
    std::vector<Attribute> attributes;
    std::shared_ptr<Kernel> region; // of a loop
  };
  uint32_t value(kiln_dtype dtype, Dims dims);

  int32_t shape_ = KILN_SHAPE_ANY;
  std::string name_;
  std::deque<Value> values_; // a deque: dims stay where they are
  std::deque<Op> ops_;
  std::vector<uint32_t> inputs_, outputs_;
  std::vector<int32_t> alias_;
  std::vector<int64_t> bounds_;
  // The table and what it points to.
  kiln_kernel table_{};
  std::vector<ValueRow> valueRows_;
  std::vector<OpRow> opRows_;
  std::deque<std::vector<kiln_attr>> attrRows_;
};

int64_t elements(const std::vector<int64_t> &shape);

} // namespace kiln::conformance
