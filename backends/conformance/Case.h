// What the kit asks of a backend: kernels, the extents and operands to launch them with, and how near the results have
// to be.
#pragma once

#include "backends/conformance/Kernel.h"

#include <cstdint>
#include <functional>

namespace kiln::conformance {

/// How an operand is filled; a pure function of the case's seed.
enum class Fill {
  Special, ///< all pairs of special values (NaN, infinities, denormals, extreme integers), then any bits' worth
  Range,   ///< floats in [low, high], integers too
  Index,   ///< integers in [low, high]
};

struct Operand {
  Fill fill = Fill::Range;
  double low = -2, high = 2;
};

/// How far a result may lie from the float64 reference: `ulps` of its dtype at its size, and for sums `sums` times the
/// accumulator's rounding (f32's for narrower floats) of the sum of the terms' magnitudes. Zero and false: to the bit.
struct Accuracy {
  double ulps = 0;
  bool sums = false;    ///< the terms' magnitudes are the same kernel's result over the operands' magnitudes
  double terms = 0;     ///< how many add up; 0 where `sums` is false
  bool inPlace = false; ///< the accumulator is memory of the result's dtype: narrow floats round with each term
  double near = 0;      ///< on top of that, so much of max(1, |exact|)
};

struct Launch {
  std::vector<int64_t> extents;      ///< one for each of the kernel's
  bool inPlace = false;              ///< outputs lie in the inputs that their alias names
  bool special = true;               ///< false: Special operands are filled with plain numbers
  bool full = false;                 ///< in the full tier alone
  bool edge = false;                 ///< at and beside the widths of vectors
  std::vector<int64_t> defined = {}; ///< one for each extent of the case's definition, where it has one
};

struct Case {
  std::string op;      ///< in the report's row: an op of docs/ops.md, or "fused: ..."
  std::string variant; ///< "rank 3, dynamic"
  kiln_dtype dtype = KILN_F32;
  std::shared_ptr<Kernel> kernel;
  std::vector<Operand> operands;
  std::vector<Launch> launches;
  Accuracy accuracy;
  bool reports = false; ///< data with errors: the status record counts too
  uint32_t seed = 0;
  /// What a composite or an op of a user's own does, in primitives, with the kernel's inputs and outputs: the reference
  /// takes this in the kernel's place. Null: the kernel itself.
  std::shared_ptr<Kernel> definition = nullptr;
  bool asked = false; ///< the backend asked for operands that lie so: a refusal is a failure
};

/// Whether the backend takes the case's kernel.
using Taken = std::function<bool(Case &)>;

/// Every case; fewer where not `full`: then each op meets each of its dtypes, each rank, constant and dynamic extents,
/// chosen by the seed so that every pair of these is met by some op; among what is `taken`, where that is told, so that
/// a backend of few forms is tried in all of them.
/// `loops`: those of loops, too, which a backend is offered only where it names them.
/// Without `edges`, none of the extents at and beside the widths of vectors, nor dynamic ones made constant.
std::vector<Case> allCases(bool full, uint32_t seed, bool edges = true, const Taken &taken = nullptr,
                           bool loops = false);

/// Dynamic cases again with some of their extents as constants: 1 (where a vector has one place in memory), and all
/// that stand at and beside the widths of vectors. Fewer where not `full`: chosen by each case's seed.
std::vector<Case> constantExtents(const std::vector<Case> &cases, bool full);

// The parts of it.
void elementwiseCases(std::vector<Case> &cases);
void layoutCases(std::vector<Case> &cases);
void indexCases(std::vector<Case> &cases);
void reductionCases(std::vector<Case> &cases);
void productCases(std::vector<Case> &cases);
void fusedCases(std::vector<Case> &cases);
void longCases(std::vector<Case> &cases);
void loopCases(std::vector<Case> &cases);

extern const std::vector<kiln_dtype> allDtypes, floatDtypes, integerDtypes, numberDtypes;

} // namespace kiln::conformance
