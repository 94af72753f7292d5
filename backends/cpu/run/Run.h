/* Run.h: the run side of the CPU backend, through the ABI. */
#ifndef KILN_BACKENDS_CPU_RUN_RUN_H
#define KILN_BACKENDS_CPU_RUN_RUN_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

const kiln_run_api *kiln_cpu_run_api(void);

/* The table of a backend with this run side and no compile side. */
const kiln_backend *kiln_cpu_run_backend(void);

/* What programs link: a kiln_backend_fn that gives that table. */
const kiln_backend *kiln_backend_cpu(const kiln_offer *offer, kiln_error *error);

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKENDS_CPU_RUN_RUN_H */
