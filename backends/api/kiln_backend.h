/* kiln_backend.h: all that a backend needs to know of Kiln. C99; includes nothing of LLVM, MLIR or C++.
 *
 * Version 0: in-tree only; it becomes a stable ABI with version 1 (negotiation, accessors, devices).
 *
 * A backend has two sides. The *compile side* gets kernels (small graphs of ops over tensors), says which it claims,
 * and compiles a program to an artifact. The *run side* loads an artifact and executes entries. Both sides see the
 * same structs. Unless a comment says otherwise, every pointer in them belongs to the host and lives as long as the
 * call (compile side) or the loaded program (run side), and nothing in them is written by the backend.
 */
#ifndef KILN_BACKEND_H
#define KILN_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_BACKEND_API_VERSION 0

/* Not zero-terminated. */
typedef struct kiln_string {
  const char *data;
  size_t size;
} kiln_string;

typedef enum kiln_dtype {
  KILN_F32 = 0,
  KILN_F64 = 1,
  KILN_BF16 = 2,
  KILN_F16 = 3,
  KILN_I8 = 4,
  KILN_U8 = 5,
  KILN_I32 = 6,
  KILN_U32 = 7,
  KILN_I64 = 8,
  KILN_BOOL = 9, /* one byte, 0 or 1 */
  /* reserved: */
  KILN_I16 = 10,
  KILN_U16 = 11,
  KILN_U64 = 12,
  KILN_I4 = 13,
  KILN_U4 = 14,
  KILN_F8E4M3 = 15,
  KILN_F8E5M2 = 16,
  KILN_QUANTIZED = 17
} kiln_dtype;

/* An extent (or any symbolic integer: a slice's start). Constant, or read at run time from the extents table. */
typedef struct kiln_extent {
  int64_t value; /* the constant; the upper bound where slot >= 0 */
  int32_t slot;  /* -1: constant. Else: in a kernel an index into the kernel's extents argument; in a program an
                    index into the entry's extents table. */
} kiln_extent;

typedef struct kiln_type {
  kiln_dtype dtype;
  uint32_t rank;
  const kiln_extent *dims; /* rank of them; tensors are contiguous and row-major at their actual extents */
} kiln_type;

/* Where a user finds the cause: file, line and column of the model's text; line 0 when unknown. */
typedef struct kiln_location {
  kiln_string file;
  uint32_t line, column;
} kiln_location;

/* ---- Kernels: graphs of ops ------------------------------------------------------------------------------------ */

typedef enum kiln_attr_kind {
  KILN_ATTR_INT = 0,
  KILN_ATTR_FLOAT = 1,
  KILN_ATTR_STRING = 2,
  KILN_ATTR_INTS = 3,
  KILN_ATTR_EXTENTS = 4,
  KILN_ATTR_BYTES = 5
} kiln_attr_kind;

typedef struct kiln_attr {
  kiln_string name; /* as in the op reference: "axes", "kind" (enumerations are strings: "sum"), ... */
  kiln_attr_kind kind;
  int64_t i;                  /* INT (bools too) */
  double f;                   /* FLOAT */
  kiln_string s;              /* STRING; BYTES: little-endian elements of a constant, one element for a splat */
  size_t count;               /* INTS, EXTENTS */
  const int64_t *ints;        /* INTS */
  const kiln_extent *extents; /* EXTENTS */
} kiln_attr;

/* Ops are named as in the kiln dialect ("add", "reduce", "dot_general"); their attributes have the dialect's names. */
typedef struct kiln_op {
  kiln_string name;
  size_t operand_count;
  const uint32_t *operands; /* value numbers, defined earlier in the kernel */
  size_t result_count;
  const uint32_t *results; /* value numbers */
  size_t attr_count;
  const kiln_attr *attrs;
  kiln_location location;
} kiln_op;

/* Inputs are arguments 0 … input_count-1 of a launch, outputs the arguments after them. */
typedef struct kiln_kernel {
  kiln_string name; /* unique in the program, a C identifier */
  kiln_string kind; /* "loops", "contract", "single": how the host formed it, a hint */
  size_t value_count;
  const kiln_type *values;
  size_t input_count;
  const uint32_t *inputs; /* value numbers */
  size_t output_count;
  const uint32_t *outputs; /* value numbers; an output may be an input's value (a copy) */
  size_t op_count;
  const kiln_op *ops;  /* in an order in which every operand comes first */
  size_t extent_count; /* length of the extents argument */
  const int64_t *extent_bounds;
  /* Output i may be given the same memory as input alias[i] (-1: none): only offered where every op between them is
   * elementwise, so that an element is read before it is written. The launch says whether it is so. */
  const int32_t *alias;
} kiln_kernel;

typedef struct kiln_claim {
  int accepted;
  char reason[256];      /* when refused: a sentence */
  int64_t scratch_bytes; /* at the bounds, alive during a launch, aligned to 64 */
} kiln_claim;

/* ---- Programs: a tree over planned buffers --------------------------------------------------------------------- */

typedef enum kiln_space {
  KILN_SPACE_ARENA = 0,    /* temporaries: offset into the entry's arena */
  KILN_SPACE_ARGUMENT = 1, /* parameters, states, inputs and outputs of the entry: index into execute's buffers */
  KILN_SPACE_CONSTANT = 2  /* offset into the program's constants */
} kiln_space;

/* A place in memory; loops add stride[level] * iteration, level 0 the outermost loop around the launch. */
#define KILN_MAX_LOOPS 3
typedef struct kiln_place {
  kiln_space space;
  uint32_t argument;                  /* ARGUMENT */
  int64_t offset;                     /* bytes */
  kiln_extent stride[KILN_MAX_LOOPS]; /* bytes an iteration; value 0 and slot -1 for none */
} kiln_place;

typedef enum kiln_node_kind {
  KILN_NODE_SEQUENCE = 0,
  KILN_NODE_LAUNCH = 1,
  KILN_NODE_COPY = 2,
  KILN_NODE_REPEAT = 3,
  KILN_NODE_WHILE = 4,
  KILN_NODE_IF = 5,
  KILN_NODE_ALL_REDUCE = 6 /* reserved */
} kiln_node_kind;

typedef struct kiln_node kiln_node;
struct kiln_node {
  kiln_node_kind kind;
  /* SEQUENCE, REPEAT, WHILE, IF: children in order. WHILE: [condition, body]. IF: [then, else]. */
  size_t child_count;
  const kiln_node *children;
  /* LAUNCH */
  uint32_t kernel;    /* index into the program's kernels */
  size_t place_count; /* inputs, then outputs. COPY: [source, destination] */
  const kiln_place *places;
  const kiln_extent *extents; /* LAUNCH: one for each of the kernel's extents (slots are the entry's) */
  kiln_place scratch;         /* LAUNCH: of the claimed size; arena */
  /* COPY: bytes. REPEAT: how many times. */
  kiln_extent count;
  /* REPEAT: iteration number is written to this slot of the entry's extents table (-1: none); `reverse` counts down. */
  int32_t index_slot;
  int reverse;
  /* WHILE, IF: a byte, tested for nonzero */
  kiln_place condition;
};

typedef struct kiln_entry {
  kiln_string name; /* "train_step", "eval", "forward", ... */
  size_t argument_count;
  const int64_t *argument_bytes; /* at the bounds */
  /* Extents table: the first symbol_count are given by the caller, the others are computed by the host from them
   * before execute; loop indices live at the end and are written by the executor. */
  size_t extent_count;
  int64_t arena_bytes;
  kiln_node root;
} kiln_entry;

typedef struct kiln_program {
  size_t kernel_count;
  const kiln_kernel *kernels; /* compile side only; the run side sees names alone (op_count 0) */
  size_t entry_count;
  const kiln_entry *entries;
  const uint8_t *constants;
  size_t constant_bytes;
} kiln_program;

/* ---- Status ---------------------------------------------------------------------------------------------------- */

typedef enum kiln_status_kind {
  KILN_OK = 0,
  KILN_INDEX_OUT_OF_RANGE = 1,
  KILN_DIVISION_BY_ZERO = 2,
  KILN_NOT_FINITE = 3,
  KILN_BACKEND_FAILED = 4
} kiln_status_kind;

/* The first error of an execution, in launch order. A kernel reports by kiln_status's fields through the run side;
 * `order` is the launch's position in the execution, so that the earliest wins whatever thread it ran on. */
typedef struct kiln_status {
  int32_t kind;    /* kiln_status_kind; written last */
  uint32_t kernel; /* index in the program */
  uint32_t op;     /* index in the kernel's ops */
  int64_t value;   /* the index, say */
  int64_t limit;   /* the dimension, say */
  uint64_t order;
  char message[256]; /* KILN_BACKEND_FAILED */
} kiln_status;

/* ---- Host services, given to the run side ---------------------------------------------------------------------- */

typedef void (*kiln_task)(void *context, int64_t begin, int64_t end, uint32_t worker);

typedef struct kiln_host {
  uint32_t size;
  void *self;
  /* Runs task over [0, count) in pieces, on up to worker_count threads, and returns when all is done. `worker` is
   * below worker_count. Not reentrant. Which worker gets which piece is not determined. */
  void (*parallel_for)(void *self, int64_t count, kiln_task task, void *context);
  uint32_t worker_count;
  void (*log)(void *self, int level, kiln_string message);
} kiln_host;

/* ---- The two sides --------------------------------------------------------------------------------------------- */

typedef struct kiln_target {
  uint32_t size;
  kiln_string triple; /* empty: the host's */
  kiln_string cpu;    /* "native", or a name LLVM knows */
  kiln_string device;
  uint32_t jobs;    /* threads to compile on */
  kiln_string emit; /* "" for the artifact; else a stage: "object", "llvm", "asm", "mlir" */
} kiln_target;

/* Bytes owned by the backend until release is called. */
typedef struct kiln_blob {
  const uint8_t *data;
  size_t size;
  void *owner;
  void (*release)(void *owner);
} kiln_blob;

/* Errors come back as 0 for success or nonzero with a sentence in `error`. */
typedef struct kiln_error {
  int32_t code;
  char message[1024];
} kiln_error;

typedef struct kiln_compile_api {
  uint32_t size;
  uint32_t version;
  int (*claim)(const kiln_kernel *kernel, const kiln_target *target, kiln_claim *claim, kiln_error *error);
  /* Artifacts: one or more blobs. For cpu: object files, which export `kiln_cpu_artifact`. */
  int (*compile)(const kiln_program *program, const kiln_target *target, kiln_blob *blobs, size_t max_blobs,
                 size_t *blob_count, kiln_error *error);
} kiln_compile_api;

typedef struct kiln_executable kiln_executable;

typedef struct kiln_profile_event {
  uint32_t kernel;
  int64_t begin_ns, end_ns;
} kiln_profile_event;

typedef struct kiln_run_api {
  uint32_t size;
  uint32_t version;
  /* `artifact`: for cpu, the address of kiln_cpu_artifact in the same process. */
  int (*load)(const kiln_program *program, const void *artifact, size_t artifact_size, const kiln_host *host,
              kiln_executable **executable, kiln_error *error);
  /* Runs one entry. buffers: one pointer for each argument; arena: at least arena_bytes, 64-byte aligned; extents: the
   * full table (the executor writes the loop slots). Allocates nothing. The status's kind is KILN_OK on entry. */
  int (*execute)(kiln_executable *executable, uint32_t entry, void *const *buffers, void *arena, int64_t *extents,
                 kiln_status *status, kiln_error *error);
  void (*unload)(kiln_executable *executable);
  /* Optional (null: not implemented): with on != 0, later executes append an event for each launch. */
  void (*profile)(kiln_executable *executable, int on, const kiln_profile_event **events, size_t *count);
} kiln_run_api;

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKEND_H */
