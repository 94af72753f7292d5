// The compile side of the reference backend: takes every kernel of primitives whole, and writes its ops down.
#pragma once

#include "backends/api/kiln_backend.h"

extern "C" {
const kiln_compile_api *kiln_reference_compile_api(void);

/// A kiln_backend_fn that gives both sides.
const kiln_backend *kiln_reference_backend(const kiln_offer *offer, kiln_error *error);
}
