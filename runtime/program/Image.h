/* Image.h: what `kiln build` puts into a program beside the runtime and the kernels. C99.
 *
 * The driver writes one object file with a data symbol `kiln_image` of this type, and links it with the kernels'
 * objects, the backend's run side and libkiln_program.a (which holds main()).
 */
#ifndef KILN_PROGRAM_IMAGE_H
#define KILN_PROGRAM_IMAGE_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_IMAGE_VERSION 0

typedef struct kiln_program_image {
  uint32_t size; /* sizeof(kiln_program_image) */
  uint32_t version;
  const char *manifest; /* the JSON of docs/architecture.md, plain or gzip */
  uint64_t manifest_size;
  const uint8_t *constants; /* aligned to 64 */
  uint64_t constant_bytes;
  const uint8_t *weights; /* a whole safetensors file (`--weights`), or null */
  uint64_t weight_bytes;
  const char *backend;                  /* zero-terminated: "cpu" */
  const kiln_run_api *(*run_api)(void); /* for cpu: kiln_cpu_run_api */
  const void *artifact;                 /* for cpu: the address of kiln_cpu_artifact */
  uint64_t artifact_size;               /* 0 where the artifact is a symbol */
} kiln_program_image;

extern const kiln_program_image kiln_image;

#ifdef __cplusplus
}
#endif

#endif /* KILN_PROGRAM_IMAGE_H */
