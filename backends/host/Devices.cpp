// Built with exceptions: the runtime throws.
#include "backends/host/Backend.h"

#include "runtime/backend/Device.h"
#include "runtime/support/Error.h"

namespace kiln::host {

std::vector<std::string> devicesOf(const Backend &backend) {
  try {
    return Device::describe(backend.tables(), *plainHost());
  } catch (const Error &error) {
    return {error.what()};
  }
}

} // namespace kiln::host
