#include "runtime/cli/Diagnose.h"

#include "runtime/support/Error.h"

#include <cmath>

namespace kiln {

/// Index of the first element that is NaN or infinite, -1 for none.
static int64_t firstNotFinite(kiln_dtype dtype, const void *data, int64_t count) {
  if (!isFloat(dtype))
    return -1;
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(loadNumber(dtype, data, i)))
      return i;
  return -1;
}

std::string describeNotFinite(Program &program, Call &call, int64_t step, double loss) {
  std::string text = format("the loss of step %lld is %s", static_cast<long long>(step), shortest(loss).c_str());
  for (int input : call.inputs()) {
    const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
    int64_t count = countElements(call.shape(input)).value_or(0);
    if (int64_t at = firstNotFinite(argument.type.dtype, call.data(input), count); at >= 0)
      return text + format("; the first tensor that is not finite is the input '%s' (element %lld): look at the data",
                           argument.name.c_str(), static_cast<long long>(at));
  }
  for (const Tensor &tensor : program.parameters())
    if (int64_t at = firstNotFinite(tensor.dtype, tensor.memory.data(), tensor.count()); at >= 0)
      return text + format("; the parameter '%s' is not finite (element %lld); a smaller learning rate or `clip` helps",
                           tensor.name.c_str(), static_cast<long long>(at));
  return text + "; all inputs and parameters are finite: the loss itself overflows";
}

} // namespace kiln
