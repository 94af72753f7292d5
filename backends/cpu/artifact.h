/* artifact.h: what the compile side of the CPU backend leaves behind and its run side picks up. C99, like the ABI.
 *
 * A kernel is a list of phases, run one after another with a barrier between them. A phase is a function over a range
 * of tasks; how many there are depends on the extents alone, and what a task writes depends neither on the number of
 * threads nor on who runs it. Within one call tasks run in ascending order.
 */
#ifndef KILN_CPU_ARTIFACT_H
#define KILN_CPU_ARTIFACT_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_CPU_ARTIFACT_VERSION 0

/* args: inputs, then outputs. scratch: the launch's, of the claimed size. worker_scratch: this worker's own, of the
 * kernel's worker_scratch_bytes, 64-byte aligned. status: this worker's own record; the first report of a call stays.
 */
typedef void (*kiln_cpu_run_phase)(void *const *args, const int64_t *extents, void *scratch, void *worker_scratch,
                                   kiln_status *status, int64_t begin, int64_t end);

typedef struct kiln_cpu_phase {
  kiln_cpu_run_phase run;
  int64_t (*tasks)(const int64_t *extents);
} kiln_cpu_phase;

typedef struct kiln_cpu_kernel {
  const char *name;
  const kiln_cpu_phase *phases;
  int64_t phase_count;
  int64_t worker_scratch_bytes;
} kiln_cpu_kernel;

typedef struct kiln_cpu_artifact {
  uint32_t version;      /* KILN_CPU_ARTIFACT_VERSION */
  uint32_t kernel_count; /* in the program's order */
  const kiln_cpu_kernel *kernels;
  const char *triple;
  const char *cpu;
  const char *features; /* comma-separated names, as LLVM spells them, of what the code needs: "avx2,fma,avx512f" */
} kiln_cpu_artifact;

#ifdef __cplusplus
}
#endif

#endif /* KILN_CPU_ARTIFACT_H */
