#include "backends/api/kiln_text.h"
#include "backends/cpu/run/Run.h"
#include <cstdio>

static const kiln_option prepack = {
    sizeof(kiln_option),
    KILN_OPTION_COMPILE | KILN_OPTION_RUN,
    kiln::text("prepack"),
    kiln::text("true"),
    kiln::text(
        "weights that products read are packed once, for as long as they do not change, into memory of their own"),
    0,
    0,
    nullptr,
    0,
    KILN_OPTION_FLAG,
    0};

extern "C" const kiln_backend *kiln_cpu_run_backend(void) {
  static const kiln_option *const options[] = {&prepack};
  static const kiln_backend backend = {sizeof(kiln_backend),
                                       KILN_ABI_VERSION,
                                       {"cpu", 3},
                                       {"cpu (LLVM)", 10},
                                       nullptr,
                                       kiln_cpu_run_api(),
                                       options,
                                       1,
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
