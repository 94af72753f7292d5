#include "runtime/cli/Diagnose.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

/// Index of the first element that is NaN or infinite, -1 for none.
static int64_t firstNotFinite(kiln_dtype dtype, const void *data, int64_t count) {
  if (!isFloat(dtype))
    return -1;
  if (dtype == KILN_F32) { // the common one, fast: before every checkpoint all parameters pass here
    const float *values = static_cast<const float *>(data);
    constexpr int64_t block = 4096;
    for (int64_t begin = 0; begin < count; begin += block) {
      float sum = 0;
      for (int64_t i = begin; i < std::min(begin + block, count); ++i)
        sum += values[i] * 0.0f;
      for (int64_t i = begin; sum != 0.0f && i < std::min(begin + block, count); ++i)
        if (!std::isfinite(values[i]))
          return i;
    }
    return -1;
  }
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(loadNumber(dtype, data, i)))
      return i;
  return -1;
}

std::string notFiniteTensor(Program &program) {
  for (std::vector<Tensor> *tensors : {&program.parameters(), &program.states()})
    for (const Tensor &tensor : *tensors)
      if (int64_t at = firstNotFinite(tensor.dtype, tensor.memory.data(), tensor.count()); at >= 0)
        return format("%s '%s' (element %lld)", tensors == &program.states() ? "state" : "parameter",
                      tensor.name.c_str(), static_cast<long long>(at));
  return "";
}

std::string describeNotFinite(Program &program, TrainStep &training, uint32_t seed, int64_t step, double loss) {
  std::string text = format("the loss of step %lld is %s", static_cast<long long>(step), shortest(loss).c_str());
  const char *first = "; the first tensor that is not finite is";
  for (const BatchInput &input : training.inputs()) {
    const ArgumentSpec &argument = *input.argument;
    int64_t count = countElements(*input.shape).value_or(0);
    if (int64_t at = firstNotFinite(argument.type.dtype, input.data, count); at >= 0)
      return text + format("%s the input '%s' (element %lld): look at the data", first, argument.name.c_str(),
                           static_cast<long long>(at));
  }
  if (std::string name = notFiniteTensor(program); !name.empty())
    return text + first + " the " + name +
           ", as the step before left it; a smaller learning rate or `clip` in the recipe helps";
  std::string found = training.findNotFinite(seed, step);
  return text + (found.empty() ? "; every tensor of the step is finite" : std::string(first) + " " + found);
}

} // namespace kiln
