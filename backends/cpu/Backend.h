/* Backend.h: the CPU backend, both sides. */
#ifndef KILN_BACKENDS_CPU_BACKEND_H
#define KILN_BACKENDS_CPU_BACKEND_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A kiln_backend_fn. */
const kiln_backend *kiln_cpu_backend(const kiln_offer *offer, kiln_error *error);

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKENDS_CPU_BACKEND_H */
