/* Run.h: the run side of the CPU backend, through the ABI. */
#ifndef KILN_BACKENDS_CPU_RUN_RUN_H
#define KILN_BACKENDS_CPU_RUN_RUN_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

const kiln_run_api *kiln_cpu_run_api(void);

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKENDS_CPU_RUN_RUN_H */
