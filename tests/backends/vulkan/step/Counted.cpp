#include "tests/backends/vulkan/step/Counted.h"

#include "backends/vulkan/compile/Compile.h"
#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Run.h"

namespace kiln::test {

Counted &lastExecution() {
  static Counted counted;
  return counted;
}

static int32_t execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  const kiln_run_api *api = kiln_vulkan_run_api();
  if (int32_t code = api->execute(executable, execution, error))
    return code;
  const auto &internals = *reinterpret_cast<vulkan::Executable *>(executable);
  Counted &counted = lastExecution();
  counted.counters.size = sizeof counted.counters;
  counted.operandBytes = internals.lastOperandBytes;
  counted.depth = internals.lastDepth;
  return api->counters(executable, &counted.counters, error);
}

const kiln_backend *countedVulkan(const kiln_offer *offer, kiln_error *error) {
  static const kiln_run_api run = [] {
    kiln_run_api api = *kiln_vulkan_run_api();
    api.execute = execute;
    return api;
  }();
  static const kiln_backend backend = [] {
    kiln_backend both = *kiln_vulkan_run_backend();
    both.compile = &vulkan::compileApi();
    both.run = &run;
    return both;
  }();
  return kiln_backend_vulkan(offer, error) ? &backend : nullptr;
}

} // namespace kiln::test
