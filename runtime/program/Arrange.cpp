// Parameters in the order in memory that kernels want.

#include "runtime/program/Program.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace kiln {

Call::Arranged Call::arrangedOf(size_t i) {
  const ArgumentSpec &argument = spec_.arguments[i];
  Tensor *tensor = program_.findParameter(argument.name);
  bool fits = tensor && tensor->dtype == argument.type.dtype && tensor->shape.size() == argument.order.size() &&
              static_cast<size_t>(argument.bytes) == tensor->bytes();
  for (size_t k = 0; fits && k < argument.order.size(); ++k)
    fits = argument.type.shape[k] == Dim(tensor->shape[argument.order[k]]);
  if (!fits)
    fail("the program's manifest is damaged: entry '%s' has '%s' arranged, which is no parameter of that shape",
         spec_.name.c_str(), argument.name.c_str());
  return {i, tensor, &program_.residence(*tensor), 0};
}

/// Row-major to row-major: axis k of the result is axis order[k].
static void permute(const Tensor &from, const std::vector<size_t> &order, uint8_t *to) {
  size_t rank = order.size(), bytes = dtypeSize(from.dtype);
  std::vector<size_t> strides(rank, bytes), step(rank), extent(rank), at(rank, 0);
  for (size_t d = rank; d-- > 1;)
    strides[d - 1] = strides[d] * static_cast<size_t>(from.shape[d]);
  for (size_t k = 0; k < rank; ++k) {
    step[k] = strides[order[k]];
    extent[k] = static_cast<size_t>(from.shape[order[k]]);
  }
  const uint8_t *source = from.memory.data();
  for (size_t left = from.bytes(); left > 0; left -= bytes, to += bytes) {
    std::memcpy(to, source, bytes);
    for (size_t k = rank; k-- > 0;) {
      source += step[k];
      if (++at[k] < extent[k])
        break;
      source -= step[k] * extent[k];
      at[k] = 0;
    }
  }
}

void Call::arrange() {
  for (Arranged &one : arranged_) {
    Program::Residence &home = *one.home;
    if (one.version == home.version)
      continue;
    program_.inFlight_.settle();
    if (home.deviceNewer)
      home.on[home.owner].buffer.toHost(one.tensor->memory.size());
    home.deviceNewer = false;
    Buffer &buffer = buffers_[one.argument];
    permute(*one.tensor, spec_.arguments[one.argument].order, static_cast<uint8_t *>(buffer.host));
    buffer.device.toDevice(static_cast<size_t>(spec_.arguments[one.argument].bytes));
    buffer.version = Program::nextVersion();
    one.version = home.version;
  }
}

} // namespace kiln
