#include "backends/vulkan/compile/Compile.h"
#include "backends/vulkan/run/Run.h"

extern "C" __attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                                          kiln_error *error) {
  static const kiln_backend both = [] {
    kiln_backend backend = *kiln_vulkan_run_backend();
    backend.compile = &kiln::vulkan::compileApi();
    return backend;
  }();
  return kiln_backend_vulkan(offer, error) ? &both : nullptr;
}
