// What a kernel means, op after op, in the plainest loops. Floats are computed in double, and, so that a float is what
// its dtype can hold however ops are grouped into kernels, each op's results are rounded to their dtype: the same as
// ir/interpreter's roundToDtype, bit for bit. A judge of errors asks for Rounding::Never: float64 throughout.
#pragma once

#include "backends/reference/run/Tensor.h"

#include <memory>
#include <string>

namespace kiln::reference {

enum class Rounding { EachOp, Never };

/// One op at work: its operands, and its results with their dtypes and shapes, zeroed.
struct Call {
  const sdk::Op &op;
  const int64_t *extents;
  std::vector<const Tensor *> in;
  std::vector<Tensor *> out;
  kiln_status &status; ///< op is set by record()
  std::string &error;

  Shape values(std::string_view attr) const;
  int64_t integer(std::string_view attr) const { return op.integer(attr); }
  /// The first mistake in the data.
  void record(kiln_status_kind kind, int64_t value, int64_t limit = 0);
  /// False, for `return call.fail(...)`.
  bool fail(const std::string &what);
};

// Each evaluates the ops of one family; false with an error where shapes do not fit, which verified programs never see.
bool elementwise(Call &call);
bool layout(Call &call); // sources too
bool indexed(Call &call);
bool reduction(Call &call);
bool windowed(Call &call);
bool product(Call &call);

class Evaluator {
public:
  explicit Evaluator(Rounding rounding) : rounding_(rounding) {}

  /// Reads the inputs' memory (one pointer each, contiguous at the actual extents), evaluates all ops. The first error
  /// in the data goes to `status` where that holds none yet. False with a sentence where the kernel cannot be
  /// evaluated at these extents.
  bool run(const sdk::Graph &graph, const int64_t *extents, std::span<const uint8_t *const> inputs, kiln_status &status,
           std::string &error);
  /// After a run, until the next one.
  const Tensor &value(uint32_t number) const { return values_[number]; }

private:
  bool begin(const sdk::Graph &graph, const int64_t *extents, std::string &error);
  bool evaluate(const sdk::Graph &graph, const int64_t *extents, kiln_status &status, std::string &error);
  bool beginRegion(const sdk::Graph &region, const int64_t *extents, std::string &error);
  bool composite(const sdk::Op &op, const int64_t *extents, kiln_status &status, std::string &error);
  bool loop(const sdk::Op &op, const int64_t *extents, kiln_status &status, std::string &error);
  void setStep(const sdk::Op &op, const std::vector<Tensor> &carries, int64_t number);

  Rounding rounding_;
  std::vector<Tensor> values_;       // memory is kept from run to run
  std::unique_ptr<Evaluator> inner_; // for a loop's steps
};

/// The bytes of a value at these extents; -1 where they make no sense.
int64_t bytesOf(const sdk::Graph &graph, uint32_t value, const int64_t *extents);

/// Whether the reference knows each of the ops: primitives, and what is made of them. False with a sentence.
bool hasPrimitivesOnly(const sdk::Graph &graph, std::string &error);

} // namespace kiln::reference
