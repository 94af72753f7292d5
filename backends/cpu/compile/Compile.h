/* Compile.h: the compile side of the CPU backend, through the ABI. */
#ifndef KILN_BACKENDS_CPU_COMPILE_COMPILE_H
#define KILN_BACKENDS_CPU_COMPILE_COMPILE_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Blobs are object files of the target; together they define `kiln_cpu_artifact`. They may refer to libm's functions
 * and to memcpy and memset. `emit` "mlir" (kernels before lowering), "llvm" and "asm" give text instead. */
const kiln_compile_api *kiln_cpu_compile_api(void);

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKENDS_CPU_COMPILE_COMPILE_H */
