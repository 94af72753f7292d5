#include "backends/reference/compile/Compile.h"

extern "C" __attribute__((visibility("default"))) const kiln_backend *kiln_backend_plugin(const kiln_offer *offer,
                                                                                          kiln_error *error) {
  return kiln_reference_backend(offer, error);
}
