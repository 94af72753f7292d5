#include "backends/cpu/run/Run.h"
#include <cstdio>

extern "C" const kiln_backend *kiln_cpu_run_backend(void) {
  static const kiln_backend backend = {sizeof(kiln_backend),
                                       KILN_ABI_VERSION,
                                       {"cpu", 3},
                                       {"cpu (LLVM)", 10},
                                       nullptr,
                                       kiln_cpu_run_api(),
                                       nullptr,
                                       0,
                                       0,
                                       0};
  return &backend;
}

extern "C" const kiln_backend *kiln_backend_cpu(const kiln_offer *offer, kiln_error *error) {
  if (offer->oldest <= KILN_ABI_VERSION && KILN_ABI_VERSION <= offer->newest)
    return kiln_cpu_run_backend();
  error->code = KILN_ERROR_VERSION;
  std::snprintf(error->message, sizeof error->message,
                "the cpu backend speaks version %d of the backend interface, the host %u to %u", KILN_ABI_VERSION,
                offer->oldest, offer->newest);
  return nullptr;
}
