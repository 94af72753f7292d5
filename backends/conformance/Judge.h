// Operands, the float64 reference's answer, and whether a backend's is near enough.
#pragma once

#include "backends/conformance/Case.h"
#include "backends/conformance/Session.h"
#include "backends/reference/run/Evaluate.h"

namespace kiln::conformance {

/// What a launch should give.
struct Expected {
  std::vector<reference::Tensor> values; ///< one for each output
  std::vector<reference::Tensor> sizes;  ///< sums of magnitudes, where the accuracy asks for them
  kiln_status status{};
};

/// The worst that was found.
struct Distance {
  double ulps = 0;  ///< of results that are no sums
  double share = 0; ///< of what was allowed
};

class Judge {
public:
  /// Of a case whose kernel has its table.
  explicit Judge(Case &judged, bool flushesDenormals);

  /// The operands' bytes for a launch, in the kernel's order.
  std::vector<Bytes> operands(const Launch &launch) const;
  /// False with a sentence where the kernel itself is wrong (which is the kit's fault).
  bool expect(const Launch &launch, const std::vector<Bytes> &operands, Expected &expected, std::string &error);

  /// Compares one output. Widens the worst distance, or gives the sentence of the first element that is too far off.
  bool compare(const Expected &expected, size_t output, const Bytes &found, Distance &worst, std::string &why) const;
  bool compareStatus(const Expected &expected, const kiln_status &found, std::string &why) const;

private:
  double allowed(const Expected &expected, size_t output, size_t element) const;

  Case &case_;
  bool flushes_;
  sdk::Graph graph_;
  std::string unreadable_;
};

/// Plain numbers in [low, high], the same ones for a seed.
reference::Tensor draw(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint64_t seed);

/// The distance between neighbours at the value's size in the dtype.
double ulpOf(kiln_dtype dtype, double value);
double largestOf(kiln_dtype dtype);
double smallestNormalOf(kiln_dtype dtype);

} // namespace kiln::conformance
