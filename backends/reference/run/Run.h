// The run side of the reference backend.
#pragma once

#include "backends/api/kiln_backend.h"

extern "C" {
const kiln_run_api *kiln_reference_run_api(void);

/// What programs link: a kiln_backend_fn that gives a table with this run side and no compile side.
const kiln_backend *kiln_backend_reference(const kiln_offer *offer, kiln_error *error);
}
