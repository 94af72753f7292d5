#include "backends/cpu/Backend.h"
#include "backends/cpu/compile/Compile.h"
#include "backends/cpu/run/Run.h"

extern "C" const kiln_backend *kiln_cpu_backend(const kiln_offer *offer, kiln_error *error) {
  static const kiln_backend both = [] {
    kiln_backend backend = *kiln_cpu_run_backend();
    backend.compile = kiln_cpu_compile_api();
    return backend;
  }();
  return kiln_backend_cpu(offer, error) ? &both : nullptr;
}
