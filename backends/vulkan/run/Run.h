/* Run.h: the run side of the Vulkan backend, through the ABI. */
#ifndef KILN_BACKENDS_VULKAN_RUN_RUN_H
#define KILN_BACKENDS_VULKAN_RUN_RUN_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

const kiln_run_api *kiln_vulkan_run_api(void);

/* The table of a backend with this run side and no compile side. */
const kiln_backend *kiln_vulkan_run_backend(void);

/* What programs link: a kiln_backend_fn that gives that table. */
const kiln_backend *kiln_backend_vulkan(const kiln_offer *offer, kiln_error *error);

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKENDS_VULKAN_RUN_RUN_H */
