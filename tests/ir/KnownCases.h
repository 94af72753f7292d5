// Functions of one op each, with inputs and what PyTorch computes from them in float64.
#pragma once

#include "tests/ir/Run.h"

#include <cmath>

namespace kiln::testing {

struct KnownTensor {
  const char *element;
  std::vector<int64_t> shape;
  std::vector<double> values;
};

struct KnownCase {
  const char *name;
  const char *text;
  std::vector<KnownTensor> inputs, outputs;
};

inline const std::vector<KnownCase> &knownCases() {
  static const std::vector<KnownCase> all = {
#include "tests/ir/KnownValues.inc"
  };
  return all;
}

inline HostTensor asTensor(const KnownTensor &known) {
  mlir::Type element = elementNamed(known.element);
  if (llvm::isa<mlir::FloatType>(element))
    return HostTensor::ofFloats(element, known.shape, known.values);
  return HostTensor::ofIntegers(element, known.shape, {known.values.begin(), known.values.end()});
}

} // namespace kiln::testing
