/* Image.h: what `kiln build` puts into a program beside the runtime and the kernels. C99.
 *
 * The driver writes one object file with a data symbol `kiln_image` of this type, and links it with the kernels'
 * objects, the backends' run sides and libkiln_program.a (which holds main()).
 */
#ifndef KILN_PROGRAM_IMAGE_H
#define KILN_PROGRAM_IMAGE_H

#include "backends/api/kiln_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_IMAGE_VERSION 4

/* A whole safetensors file (`--weights`) stands behind the program's own file, and behind it these eight bytes and its
 * size (uint64_t). */
#define KILN_WEIGHTS_MARK "KilnWts\1"

/* Begins a sentence of every runtime: by it the compiler knows a program or a library of its own, which it may replace
 * without having been given its name. */
#define KILN_PROGRAM_MARK "the program's image has version"

/* A backend that kernels of the program were placed on. */
typedef struct kiln_image_backend {
  const char *name;             /* zero-terminated: "cpu" */
  kiln_backend_fn function;     /* linked in; null: in `plugin` */
  const char *plugin;           /* zero-terminated: the name of a shared object beside the program, or null */
  const uint8_t *plugin_sha256; /* 32 bytes: what that file must be; null where artifact_version says it */
  const void *artifact;         /* bytes, or the address of the linked objects' artifact symbol */
  uint64_t artifact_size;       /* 0 where the artifact is a symbol */
  uint64_t artifact_version;    /* of the plugin that compiled it: one that reads it will do; 0: that very file */
} kiln_image_backend;

typedef struct kiln_program_image {
  uint32_t size; /* sizeof(kiln_program_image) */
  uint32_t version;
  const char *manifest; /* the JSON of docs/architecture.md, plain or gzip */
  uint64_t manifest_size;
  const uint8_t *constants; /* aligned to 64 */
  uint64_t constant_bytes;
  uint64_t weight_bytes;              /* of the weights behind the program's file; 0: it has none */
  const kiln_image_backend *backends; /* the first: where parameters live; others in the manifest's order */
  uint64_t backend_count;
  const char *tokenizer; /* a tokenizer.json: how the program's texts are read and written; null: it has none */
  uint64_t tokenizer_size;
} kiln_program_image;

extern const kiln_program_image kiln_image;

#ifdef __cplusplus
}
#endif

#endif /* KILN_PROGRAM_IMAGE_H */
