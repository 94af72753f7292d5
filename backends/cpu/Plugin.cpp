#include "backends/cpu/Backend.h"

extern "C" __attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                                          kiln_error *error) {
  return kiln_cpu_backend(offer, error);
}
