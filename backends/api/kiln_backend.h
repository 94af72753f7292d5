/* kiln_backend.h: all that a backend needs to know of Kiln. C99, stands alone.
 *
 * A backend is a plugin with two sides. The *compile side* is offered kernels (small graphs of ops over tensors), takes
 * them or refuses them with a reason, and compiles a program to an artifact. The *run side* lists devices, keeps
 * buffers, loads an artifact and executes a program's entries. A plugin may have one side only.
 *
 * Rules that hold throughout
 * - Versions: one symbol is exported (kiln_backend_fn below). The host offers a range of versions, the plugin answers
 *   with a table made for one of them, best the highest that both know, or refuses with a sentence. All here: since 1.
 * - Sizes: structs that may grow begin with `size`, which their writer sets to the sizeof that it was compiled with,
 * or, for structs that the callee fills (marked "out"), the caller sets before the call. Who meets a longer struct
 * reads the part it knows; who meets a shorter one takes what is missing as zero. Fields are only ever appended.
 * Structs without `size` never change.
 * - Optional functions may be null: "not implemented".
 * - Ownership: each side frees what it made. What a pointer leads to lives as long as the call that it was given to,
 *   unless a comment says longer. Nobody writes to what the other owns, outputs excepted.
 * - Strings are pointer and length, UTF-8, not zero-terminated.
 * - Errors: functions that return int32_t give KILN_SUCCESS or an error code, and then fill `error`. Nothing is thrown
 * or longjmp'd across. A function that fails leaves its outputs as they were and has freed what it made.
 * - Threads: the compile side's functions may be called from several threads at once. Calls on one device, and on what
 *   belongs to it, come one at a time; calls on two devices may come at once. Callbacks given to a function (answers,
 *   sinks) are to be called on the thread that called it, before it returns.
 */
#ifndef KILN_BACKEND_H
#define KILN_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_ABI_VERSION 1 /* of this header */
#define KILN_ABI_OLDEST 1  /* the oldest that a host of this header takes */

/* Whether a sized struct, met through a pointer, holds a field and the field is not null. */
#define KILN_HAS(pointer, type, field)                                                                                 \
  ((pointer)->size >= offsetof(type, field) + sizeof((pointer)->field) && (pointer)->field)

/* ---- Words ----------------------------------------------------------------------------------------------------- */

typedef struct kiln_string {
  const char *data;
  size_t size;
} kiln_string;

typedef enum kiln_code {
  KILN_SUCCESS = 0,
  KILN_ERROR_INVALID = 1,     /* the caller's fault: a wrong argument, a program that does not fit its artifact */
  KILN_ERROR_UNSUPPORTED = 2, /* the device, or the backend, cannot do it */
  KILN_ERROR_OUT_OF_MEMORY = 3,
  KILN_ERROR_DEVICE_LOST = 4, /* nothing more can be done with the device but closing it */
  KILN_ERROR_INTERNAL = 5,    /* the backend's fault */
  KILN_ERROR_VERSION = 6,     /* no version in common */
  KILN_ERROR_CANCELLED = 7    /* given up, because kiln_execution.cancel asked for it */
} kiln_code;

/* Out. The message is one sentence or more, what went wrong and what to do, zero-terminated. */
typedef struct kiln_error {
  uint32_t size;
  int32_t code;    /* kiln_code */
  uint32_t kernel; /* the program's kernel that it concerns, KILN_NONE for none */
  uint32_t op;     /* the kernel's op, KILN_NONE for none */
  char message[1008];
} kiln_error;
#define KILN_NONE UINT32_MAX

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

/* An extent, or any integer that is known at run time at the latest (a slice's start, a loop's count). */
typedef struct kiln_extent {
  int64_t value; /* the constant; the upper bound where slot >= 0 */
  int32_t slot;  /* -1: constant. Else: in a kernel an index into the kernel's extents argument; in a program's tree an
                    index into the entry's extents table. */
} kiln_extent;

/* Out. Tensors are contiguous and row-major at their actual extents. */
typedef struct kiln_type {
  uint32_t size;
  int32_t dtype; /* kiln_dtype */
  uint32_t rank;
  const kiln_extent *dims; /* rank of them; lives as long as the kernel */
} kiln_type;

/* Where a user finds the cause: a place in the model's text; line 0 when unknown. */
typedef struct kiln_location {
  kiln_string file;
  uint32_t line, column;
} kiln_location;

/* ---- Kernels: graphs of ops ------------------------------------------------------------------------------------
 *
 * A kernel is one launch: what it does with its inputs, as a graph of ops. Values are numbered from 0. Ops stand in an
 * order in which every operand comes first, and are named as in the op reference (docs/ops.md), "add", "reduce",
 * "dot_general", with the attributes' names there; enumerations are strings ("sum"), booleans INT. They are primitives,
 * but for attention and what the backend names itself (kiln_capabilities.composites). The op "extent" has
 * no operands, one i32 scalar result and the attribute "expr" (EXTENTS, one): its value.
 */
typedef struct kiln_kernel kiln_kernel;

typedef enum kiln_attr_kind {
  KILN_ATTR_INT = 0,
  KILN_ATTR_FLOAT = 1,
  KILN_ATTR_STRING = 2,
  KILN_ATTR_INTS = 3,
  KILN_ATTR_EXTENTS = 4,
  KILN_ATTR_BYTES = 5 /* `string`: little-endian elements of a constant, row-major, at any address; one for a splat */
} kiln_attr_kind;

/* Out. Pointers live as long as the kernel. */
typedef struct kiln_attr {
  uint32_t size;
  int32_t kind; /* kiln_attr_kind: which of the fields below are set */
  kiln_string name;
  int64_t integer;
  double number;
  kiln_string string;
  size_t count; /* INTS, EXTENTS */
  const int64_t *ints;
  const kiln_extent *extents;
} kiln_attr;

/* Out. Pointers live as long as the kernel. */
typedef struct kiln_op {
  uint32_t size;
  uint32_t attr_count;
  kiln_string name;
  uint32_t operand_count, result_count;
  const uint32_t *operands; /* value numbers */
  const uint32_t *results;  /* value numbers */
  kiln_location location;
  /* Read as a kernel is, its slots this kernel's, without a name, shape or alias. Of a "scan": what a step does. Of a
   * composite: what it is made of, in primitives, operands to results. Null for all else. */
  const kiln_kernel *region;
} kiln_op;

/* Loops. Who names "scan" among its composites is offered each outermost loop of an entry as one kernel of one op, with
 * a region, before the kernels in the loop are offered; where it refuses, they are, as they are to others. Attributes:
 * `count` (EXTENTS, one) steps, `carries` and `sequences` (INT), `reverse` (INT). Operands: so many carries as they are
 * at first, so many sequences [count, ...], then what each step reads as it is. Results: the carries as they are at
 * last, then each step's outputs, stacked to [count, ...]. The region's inputs: the step's number (an i32 scalar), the
 * carries, each sequence's slice at that number (without its first axis), the other operands; its outputs: the next
 * carries, and the step's outputs, which are stacked at its number. Steps are numbered from 0 upwards, with `reverse`
 * from count - 1 downwards. Without steps the carries stay as they are. Ops in a region may be scans again. A
 * kiln_status from within a region names the kernel's own op. */

/* What fusion made of a kernel's ops (docs/fusion.md has each to the letter), and what a backend may take for granted.
 * More will come: a number that a backend does not know promises nothing to it. */
typedef enum kiln_group_shape {
  KILN_SHAPE_ANY = 0,         /* nothing is promised */
  KILN_SHAPE_ELEMENTWISE = 1, /* each element by itself: elementwise ops, and layout ops that read inputs */
  KILN_SHAPE_ROWS = 2,        /* reductions of the trailing axes of R x I values; the others are R x I or R */
  KILN_SHAPE_COLUMNS = 3,     /* reductions over the same axes, none below another; outputs are what is left */
  KILN_SHAPE_CONTRACT = 4,    /* one dot_general or convolution, a prologue above it, elementwise ops below it */
  KILN_SHAPE_WINDOW = 5,      /* reduce_window or reduce_window_grad */
  KILN_SHAPE_SCATTER = 6,
  KILN_SHAPE_ATTENTION = 7, /* attention or attention_grad, and transposes around it that keep rows contiguous */
  KILN_SHAPE_SINGLE = 8     /* another op whose element takes many, alone but for its sources */
} kiln_group_shape;

/* Out. Pointers live as long as the kernel. A launch's places are the inputs, then the outputs. */
typedef struct kiln_kernel_info {
  uint32_t size;
  uint32_t value_count, op_count;
  uint32_t input_count, output_count;
  uint32_t extent_count;   /* length of the extents argument */
  kiln_string name;        /* unique in the program, a C identifier */
  kiln_string kind;        /* `shape` in coarse words: "loops", "contract", "single", "attention" */
  const uint32_t *inputs;  /* value numbers */
  const uint32_t *outputs; /* value numbers; an output may be an input's value (a copy) */
  const int64_t *extent_bounds;
  /* Output i may be given the same memory as input alias[i] (-1: none): only where every op between them is
   * elementwise, so that an element is read before it is written. The launch's places say whether it is so. */
  const int32_t *alias;
  int32_t shape; /* kiln_group_shape */
  int32_t piece; /* offered: nonzero where it is split off a larger kernel, which no backend has as a whole */
} kiln_kernel_info;

/* ---- Programs: trees over planned buffers ---------------------------------------------------------------------- */

typedef struct kiln_program kiln_program;
typedef struct kiln_node kiln_node;

typedef enum kiln_space {
  KILN_SPACE_ARENA = 0,    /* temporaries: offset into the execution's arena */
  KILN_SPACE_ARGUMENT = 1, /* parameters, states, inputs and outputs of the entry: index into the execution's buffers */
  KILN_SPACE_CONSTANT = 2  /* offset into the program's constants */
} kiln_space;

/* A place in memory: offset + the sum of stride[level] * iteration, level 0 the outermost loop around the launch. */
#define KILN_MAX_LOOPS 3
typedef struct kiln_place {
  int32_t space; /* kiln_space */
  uint32_t argument;
  int64_t offset;                     /* bytes; arena and constants: a multiple of 64 */
  kiln_extent stride[KILN_MAX_LOOPS]; /* bytes an iteration; value 0 and slot -1 for none */
} kiln_place;

typedef enum kiln_node_kind {
  KILN_NODE_SEQUENCE = 0,
  KILN_NODE_LAUNCH = 1,
  KILN_NODE_COPY = 2, /* places: source, destination; they do not overlap unless they are equal */
  KILN_NODE_REPEAT = 3,
  KILN_NODE_WHILE = 4,     /* children: condition, body. Runs the first, tests, runs the second, and again */
  KILN_NODE_IF = 5,        /* children: then, else */
  KILN_NODE_ALL_REDUCE = 6 /* reserved */
} kiln_node_kind;

/* Out. Pointers live as long as the program. */
typedef struct kiln_node_info {
  uint32_t size;
  int32_t kind;         /* kiln_node_kind */
  uint32_t child_count; /* SEQUENCE, REPEAT, WHILE, IF; in order */
  uint32_t kernel;      /* LAUNCH */
  uint32_t place_count; /* LAUNCH: inputs, then outputs. COPY: 2 */
  uint32_t extent_count;
  const kiln_place *places;
  const kiln_extent *extents;  /* LAUNCH: one for each of the kernel's extents; slots are the entry's */
  const kiln_place *scratch;   /* LAUNCH: of the size that the claim stated, in the arena; null for none */
  const kiln_place *condition; /* WHILE, IF: a byte, tested for nonzero */
  kiln_extent count;           /* COPY: bytes. REPEAT: how many times */
  int32_t index_slot;          /* REPEAT: the slot of the entry's extents table that holds the iteration's number; -1 */
  int32_t reverse;             /* REPEAT: nonzero: iterations are numbered downwards */
} kiln_node_info;

/* Out. Pointers live as long as the program. */
typedef struct kiln_entry_info {
  uint32_t size;
  uint32_t argument_count;
  kiln_string name;              /* "train_step", "eval", "forward", ... */
  const int64_t *argument_bytes; /* at the bounds */
  /* Extents table: symbols, expressions over them (all given with each execution), then the loops' slots, which are the
   * executor's to write. */
  uint32_t extent_count, loop_slot_count;
  const int64_t *extent_bounds; /* extent_count of them; null where they are not known */
  int64_t arena_bytes;
  const kiln_node *root;
} kiln_entry_info;

/* Out. Pointers live as long as the program. */
typedef struct kiln_program_info {
  uint32_t size;
  uint32_t kernel_count, entry_count;
  const uint8_t *constants;
  uint64_t constant_bytes;
} kiln_program_info;

/* What an argument is to its entry. */
typedef enum kiln_role {
  KILN_ROLE_UNKNOWN = 0,
  KILN_ROLE_PARAMETER = 1,
  KILN_ROLE_STATE = 2, /* persistent, or of a session */
  KILN_ROLE_OPTIMIZER_STATE = 3,
  KILN_ROLE_INPUT = 4, /* what else is given with each execution */
  KILN_ROLE_SEED = 5,
  KILN_ROLE_STEP = 6,
  KILN_ROLE_LOSS = 7,
  KILN_ROLE_METRIC = 8,
  KILN_ROLE_GRADIENT = 9,
  KILN_ROLE_OUTPUT = 10 /* what else is a result */
} kiln_role;

enum {
  KILN_ARGUMENT_READ = 1,   /* what it holds before the execution counts */
  KILN_ARGUMENT_WRITTEN = 2 /* the entry writes it; both: in place, as an optimizer does */
};

/* Out. Pointers live as long as the program. */
typedef struct kiln_argument {
  uint32_t size;
  uint32_t flags;   /* KILN_ARGUMENT_* */
  int32_t role;     /* kiln_role */
  int32_t dtype;    /* kiln_dtype */
  kiln_string name; /* "blocks.0.attn.wq": a parameter's or state's is the same in all entries */
  uint32_t rank;
  uint32_t reserved;
  const kiln_extent *dims; /* rank of them; slots are the entry's. Null where nothing is known */
} kiln_argument;

/* ---- Options --------------------------------------------------------------------------------------------------- */

typedef enum kiln_option_type {
  KILN_OPTION_TEXT = 0,
  KILN_OPTION_INTEGER = 1, /* a whole number in decimal, from `least` to `most` */
  KILN_OPTION_FLAG = 2,    /* "true" or "false" */
  KILN_OPTION_CHOICE = 3   /* one of `choices` */
} kiln_option_type;

enum {
  /* Concerns claims and code: it is set when a program is built, and belongs to what the program is known by. */
  KILN_OPTION_COMPILE = 1,
  /* Concerns how a program runs: it is set when that starts. Of both sides: as it was built, unless set then. */
  KILN_OPTION_RUN = 2
};

/* What a user may set of a backend: --backend-option [BACKEND.]NAME=VALUE. Lives as long as the process. */
typedef struct kiln_option {
  uint32_t size;
  uint32_t sides;    /* KILN_OPTION_COMPILE, KILN_OPTION_RUN */
  kiln_string name;  /* letters, digits, '-' and '_', a letter first */
  kiln_string value; /* what holds where nobody sets it, for people; empty: what `help` says */
  kiln_string help;  /* one line */
  int64_t least, most;
  const kiln_string *choices;
  size_t choice_count;
  int32_t type; /* kiln_option_type */
  uint32_t reserved;
} kiln_option;

/* One that was set. The host has looked at it: there is such an option, of this side, and its value fits. */
typedef struct kiln_setting {
  kiln_string name;
  kiln_string value; /* integers in their shortest form */
} kiln_setting;

/* ---- What the host gives --------------------------------------------------------------------------------------- */

/* How a kernel and a program are read. Numbers are below the counts that the infos state; others give an info of zeros.
 * Any thread. A run side sees kernels' names and extents, not their ops (op_count 0). */
typedef struct kiln_reader {
  uint32_t size;
  void (*kernel)(const kiln_kernel *kernel, kiln_kernel_info *info);
  void (*value)(const kiln_kernel *kernel, uint32_t number, kiln_type *type);
  void (*op)(const kiln_kernel *kernel, uint32_t number, kiln_op *op);
  void (*attr)(const kiln_kernel *kernel, uint32_t op, uint32_t number, kiln_attr *attr);
  /* By its name; 0 where the op has none of it. */
  int (*find_attr)(const kiln_kernel *kernel, uint32_t op, kiln_string name, kiln_attr *attr);
  void (*program)(const kiln_program *program, kiln_program_info *info);
  const kiln_kernel *(*program_kernel)(const kiln_program *program, uint32_t number);
  void (*entry)(const kiln_program *program, uint32_t number, kiln_entry_info *info);
  void (*node)(const kiln_node *node, kiln_node_info *info);
  const kiln_node *(*child)(const kiln_node *node, uint32_t number);
  void (*argument)(const kiln_program *program, uint32_t entry, uint32_t number, kiln_argument *argument);
} kiln_reader;

/* Some of the tasks begin to end - 1, ascending. */
typedef void (*kiln_task)(void *context, int64_t begin, int64_t end, uint32_t worker);

/* Given at the start of a plugin's life (without threads: worker_count 1) and with each device; lives as long. */
typedef struct kiln_host {
  uint32_t size;
  uint32_t worker_count; /* at least 1 */
  void *self;
  const kiln_reader *reader; /* lives as long as the process */
  /* Runs task over [0, count) in pieces on up to worker_count threads, `worker` below that, and returns when all is
   * done. Which worker gets which piece is not determined. Not to be called from within a task. */
  void (*parallel_for)(void *self, int64_t count, kiln_task task, void *context);
  /* level: 0 error, 1 warning, 2 information. Any thread. */
  void (*log)(void *self, int32_t level, kiln_string message);
  kiln_string cache_folder; /* where a backend may keep what saves time at the next start; empty: nowhere */
  /* With a device and the questions before it: the run side's options that were set, each once, in no order. */
  const kiln_setting *settings;
  size_t setting_count;
} kiln_host;

/* ---- The compile side ------------------------------------------------------------------------------------------ */

/* What is compiled for. Empty strings mean the default. */
typedef struct kiln_target {
  uint32_t size;
  uint32_t jobs;      /* threads to compile on */
  kiln_string triple; /* empty: the host's */
  kiln_string cpu;    /* "native", or a name that LLVM knows */
  kiln_string device; /* "portable", "native", or the backend's own name for a device profile */
  kiln_string emit;   /* empty for the artifact; else a stage for people: "mlir", "llvm", "asm", "glsl", "spirv", ... */
  kiln_string math;   /* "strict" (default): f32 is f32. "fast": products and convolutions may take narrower inputs,
                         or fewer products whose sums are further off (docs/programs.md) */
  /* The compile side's options that were set, each once, in no order. */
  const kiln_setting *settings;
  size_t setting_count;
} kiln_target;

enum {
  KILN_BACKEND_HOST_MEMORY = 1, /* buffers are memory of this process: import works, map is free */
  KILN_BACKEND_FLUSHES_DENORMALS = 2,
  KILN_BACKEND_STRIDED_VIEWS = 4, /* reserved: takes operands that are not contiguous */
  KILN_BACKEND_DETERMINISTIC = 8, /* equal inputs give equal bits */
  KILN_BACKEND_CANCELS = 16       /* of a device: it looks at kiln_execution.cancel several times a second */
};

/* Out. What holds for all that the backend compiles for the target. */
typedef struct kiln_capabilities {
  uint32_t size;
  uint32_t flags;
  uint32_t alignment;           /* of places in the arena and the constants: a power of two; 0: the host's 64 */
  int64_t max_binding_bytes;    /* of one operand; 0: no limit */
  int64_t max_allocation_bytes; /* of one buffer, the arena too; 0: no limit */
  kiln_string artifact_symbol;  /* what linked object blobs define; empty where artifacts are bytes */
  /* A copy between the process's memory and a buffer takes link_seconds and its bytes over link_bytes_per_second; 0:
   * not known, and the host guesses. */
  double link_seconds, link_bytes_per_second;
  /* Ops that the backend is to be offered whole, one a kernel, before they are decomposed: composites of docs/ops.md
   * ("softmax", "layer_norm"), a user's own (`op swiglu(…)`, "swiglu") with their gradients ("swiglu_grad"), and loops
   * ("scan"). What it refuses is offered as what it is made of, fused with what is around it. Lives as long as the
   * process. */
  const kiln_string *composites;
  size_t composite_count;
} kiln_capabilities;

enum {
  /* Of a part, or of a piece: wanted only where nothing of the kernel is left to another backend. */
  KILN_TERMS_WHOLE = 1
};

/* How an input of a kernel is to lie in memory: contiguous, axis order[k] of the value the k-th from outside. */
typedef struct kiln_layout {
  uint32_t size;
  uint32_t input; /* its number among the kernel's inputs */
  uint32_t rank;  /* of the value */
  uint32_t reserved;
  const uint32_t *order; /* rank of them, each axis once */
} kiln_layout;

typedef struct kiln_terms {
  uint32_t size;
  uint32_t flags;        /* KILN_TERMS_* */
  int64_t scratch_bytes; /* at the bounds, alive during a launch; 0 for none */
  kiln_string form;      /* how the backend will compute it, a few words for people ("rows"); empty: it does not say */
  /* What a launch takes at the bounds, all that it costs to start one included. The host weighs it against another
   * backend's time and what it costs to go there and back. 0: not said, and what is claimed is placed here. */
  double seconds;
  /* Of a kernel that is taken whole: inputs that had better lie otherwise, layout_count of them. Where the host
   * follows, the kernel is offered again: such an input has the shape that it has in memory, and the first ops are a
   * "transpose" of each, which gives the value as it was. That is to be taken too. Parameters that an entry only reads
   * are brought into that order once, and again when they change; all else once for all kernels of the entry that want
   * it so. */
  const kiln_layout *const *layouts;
  size_t layout_count;
} kiln_terms;

/* How a backend answers a claim. What it takes becomes one kernel each; ops that it neither takes nor refuses count as
 * refused. It may take the whole, or parts: sets of ops that are closed (no path leaves a set and comes back) and do
 * not meet. What is refused is offered again in smaller pieces, or placed on another backend. */
typedef struct kiln_answer {
  uint32_t size;
  void *self;
  /* ops: numbers; null and 0 for all of the kernel. */
  void (*take)(void *self, const uint32_t *ops, size_t count, const kiln_terms *terms);
  /* op: KILN_NONE for the kernel as a whole. The reason is a sentence for the user. */
  void (*refuse)(void *self, uint32_t op, kiln_string reason);
} kiln_answer;

typedef enum kiln_blob_kind {
  KILN_BLOB_BYTES = 0,  /* the artifact as the run side's load gets it; one at most */
  KILN_BLOB_OBJECT = 1, /* an object file of the target, to be linked into the program */
  KILN_BLOB_TEXT = 2    /* a stage, for people */
} kiln_blob_kind;

/* Takes what compile makes; the bytes are copied. */
typedef struct kiln_sink {
  uint32_t size;
  void *self;
  void (*add)(void *self, int32_t kind, kiln_string name, const void *data, size_t bytes);
} kiln_sink;

typedef struct kiln_compile_api {
  uint32_t size;
  int32_t (*capabilities)(const kiln_host *host, const kiln_target *target, kiln_capabilities *out, kiln_error *error);
  /* Fails only where the question makes no sense (an unknown processor); a kernel that is not taken is no failure.
   * What was taken must compile: the same ops, with the same extents or, where they are dynamic, any up to the bounds.
   * Asked again, before memory is planned, with `alias` as it will be: that answer's scratch counts. */
  int32_t (*claim)(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                   const kiln_answer *answer, kiln_error *error);
  /* Every kernel of the program has been taken. */
  int32_t (*compile)(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                     const kiln_sink *sink, kiln_error *error);
} kiln_compile_api;

/* ---- The run side ---------------------------------------------------------------------------------------------- */

typedef struct kiln_device kiln_device;
typedef struct kiln_buffer kiln_buffer;
typedef struct kiln_executable kiln_executable;
typedef struct kiln_event kiln_event;

/* What a buffer is for: a device that has memories of several kinds chooses one by it. */
typedef enum kiln_use {
  KILN_USE_ANY = 0,
  KILN_USE_ARENA = 1, /* values between kernels, which the host never sees */
  KILN_USE_KEPT = 2,  /* parameters and states: kernels read and write them, the host now and then */
  KILN_USE_INPUT = 3, /* the host writes it before an execution, kernels read it */
  KILN_USE_RESULT = 4 /* kernels write it, the host reads it behind an execution */
} kiln_use;

/* A memory of a device's. Its name ("HBM", "host, seen by the device") lives as long as the process. */
typedef struct kiln_memory {
  uint32_t size;
  uint32_t uses; /* bits 1 << kiln_use: what goes there first */
  kiln_string name;
  uint64_t bytes, free_bytes; /* 0: not known */
} kiln_memory;

/* Out. Strings live as long as the process. */
typedef struct kiln_device_info {
  uint32_t size;
  uint32_t usable;    /* 0: `reason` says what it lacks */
  kiln_string name;   /* "NVIDIA H100 PCIe" */
  kiln_string driver; /* with its version */
  kiln_string reason;
  uint64_t memory_bytes;         /* 0: not known */
  uint64_t max_allocation_bytes; /* 0: no limit */
  uint32_t flags;                /* KILN_BACKEND_* */
  uint64_t free_bytes;           /* of memory_bytes, at this moment; 0: not known */
  /* memory_count of them, valid until the next call of this thread; none: there is one memory. */
  const kiln_memory *const *memories;
  size_t memory_count;
} kiln_device_info;

typedef enum kiln_status_kind {
  KILN_OK = 0,
  KILN_INDEX_OUT_OF_RANGE = 1,
  KILN_DIVISION_BY_ZERO = 2,
  KILN_NOT_FINITE = 3
} kiln_status_kind;

/* The first error in the data of an execution, in launch order. A kernel clamps a wrong index, records it, and goes on.
 */
typedef struct kiln_status {
  int32_t kind;    /* kiln_status_kind; written last */
  uint32_t kernel; /* in the program */
  uint32_t op;     /* in the kernel's ops */
  uint32_t reserved;
  int64_t value;  /* the index, say */
  int64_t limit;  /* the dimension, say */
  uint64_t order; /* the launch's position in the execution */
} kiln_status;

/* A moment that comes: when what another device, or another backend, was given before is done. Its functions are for
 * any thread. It lives until what was given after it (kiln_run_api.after) is done. */
typedef struct kiln_signal {
  uint32_t size;
  uint32_t reserved;
  void *self;
  void (*wait)(void *self);    /* returns when it has come */
  int32_t (*came)(void *self); /* whether it has */
} kiln_signal;

/* Called once, on any thread, when an event is over and before wait returns, with its code. It calls no backend. */
typedef void (*kiln_notice)(void *context, int32_t code);

/* One run of an entry. */
typedef struct kiln_execution {
  uint32_t size;
  uint32_t entry;
  kiln_buffer *const
      *buffers;        /* one for each argument; an argument that is written in place was donated by its caller */
  kiln_buffer *arena;  /* at least arena_bytes, 64-byte aligned; null where arena_bytes is 0 */
  int64_t *extents;    /* the full table; the executor may write the loops' slots. Read before execute returns */
  kiln_status *status; /* all zero when given; filled when the execution is over */
  /* Null: execute returns when all is done. Else: it may return before, with an event to wait for (null: all is done);
   * status, buffers and arena live until then. All else that is given here is read before execute returns. */
  kiln_event **event;
  /* Null, or one for each argument, 0 where it is not known: what the argument's buffer holds as the execution begins.
   * Two executions on a device with the same number for an argument find the same bytes in all of it, in whichever
   * entry and buffer: what was made of them the first time (weights packed, say) holds the second time. */
  const uint64_t *versions;
  /* Null, or a word that becomes nonzero, at any time and for good, where nobody wants the results any more. Who looks
   * at it (KILN_BACKEND_CANCELS) ends what is under way early, with KILN_ERROR_CANCELLED; what was written is
   * undefined. */
  const volatile int32_t *cancel;
} kiln_execution;

typedef struct kiln_profile_event {
  uint32_t kernel; /* KILN_NONE: a copy */
  uint32_t reserved;
  int64_t begin_ns, end_ns; /* since a moment of the device's choosing */
} kiln_profile_event;

/* Out. What an entry does in one execution at the extents of the last one. */
typedef struct kiln_counters {
  uint32_t size;
  uint32_t reserved;
  uint64_t launches, barriers, submits;
  uint64_t host_round_trips;          /* waits of the host for the device within the execution */
  uint64_t bytes_read, bytes_written; /* by kernels and copies: the sum of the operands' bytes */
  uint64_t device_bytes;              /* allocated on the device now, by this backend */
} kiln_counters;

typedef struct kiln_run_api {
  uint32_t size;
  /* Devices. Zero of them is no error; `count` then stays 0 and `reason` may say why (lives as long as the process). */
  int32_t (*device_count)(const kiln_host *host, uint32_t *count, kiln_string *reason, kiln_error *error);
  int32_t (*device_info)(const kiln_host *host, uint32_t number, kiln_device_info *info, kiln_error *error);
  /* `host` outlives the device. */
  int32_t (*open)(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error);
  /* Buffers and executables of the device are gone before. */
  void (*close)(kiln_device *device);

  /* Buffers. Contents are undefined at first. bytes may be 0. */
  int32_t (*allocate)(kiln_device *device, uint64_t bytes, kiln_buffer **buffer, kiln_error *error);
  /* Optional. Memory of the caller, 64-byte aligned, as a buffer; it outlives the buffer. */
  int32_t (*import)(kiln_device *device, void *memory, uint64_t bytes, kiln_buffer **buffer, kiln_error *error);
  void (*release)(kiln_buffer *buffer);
  /* Optional. The buffer's bytes in this process: until unmap, and while no execution that uses it is under way. */
  int32_t (*map)(kiln_buffer *buffer, void **memory, kiln_error *error);
  void (*unmap)(kiln_buffer *buffer);
  /* Between the host's memory and a buffer, and between two buffers of one device; in order with executions. Reads and
   * copies wait for executions that write the buffer. A write returns when `from` may be used again. */
  int32_t (*write)(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error);
  int32_t (*read)(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error);
  int32_t (*copy)(kiln_buffer *from, uint64_t from_offset, kiln_buffer *to, uint64_t to_offset, uint64_t bytes,
                  kiln_error *error);

  /* `program`, its constants and `artifact` outlive the executable. artifact: the bytes blob, or, with artifact_bytes
   * 0, the address of the linked objects' artifact_symbol. */
  int32_t (*load)(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t artifact_bytes,
                  kiln_executable **executable, kiln_error *error);
  void (*unload)(kiln_executable *executable);
  /* Executions of a device run in the order in which they were given. In the second and later executions of an entry
   * with the same extents nothing is allocated. */
  int32_t (*execute)(kiln_executable *executable, const kiln_execution *execution, kiln_error *error);
  /* Waits, and lets the event go, whatever the outcome. */
  int32_t (*wait)(kiln_event *event, kiln_error *error);

  /* Optional. With on != 0, executions record an event for each launch; `events` are those of the last execution, valid
   * until the next call on the executable. */
  int32_t (*profile)(kiln_executable *executable, int32_t on, const kiln_profile_event **events, size_t *count,
                     kiln_error *error);
  /* Optional. */
  int32_t (*counters)(kiln_executable *executable, kiln_counters *out, kiln_error *error);

  /* Optional, each by itself: work that goes on while the host does. As write, read and copy, in order with executions
   * and with each other; but they return at once, with an event to wait for (null: all is done). The host's memory is
   * the backend's until then. */
  int32_t (*write_async)(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_event **event,
                         kiln_error *error);
  int32_t (*read_async)(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_event **event,
                        kiln_error *error);
  int32_t (*copy_async)(kiln_buffer *from, uint64_t from_offset, kiln_buffer *to, uint64_t to_offset, uint64_t bytes,
                        kiln_event **event, kiln_error *error);
  /* Has `notice` called when the event is over, at once where it is. The event is to be waited for all the same. */
  int32_t (*notify)(kiln_event *event, kiln_notice notice, void *context, kiln_error *error);
  /* What the device is given from now on begins when the signal has come. Returns at once. */
  int32_t (*after)(kiln_device *device, const kiln_signal *signal, kiln_error *error);

  /* Optional. As `allocate`, in the memory that is best for `use` (kiln_use; one that is not known is KILN_USE_ANY). A
   * wish and no promise: any buffer may stand for any argument, be written, read and copied. Where that memory is full
   * it may answer KILN_ERROR_OUT_OF_MEMORY: then `allocate` is asked. */
  int32_t (*allocate_for)(kiln_device *device, uint64_t bytes, uint32_t use, kiln_buffer **buffer, kiln_error *error);
} kiln_run_api;

/* ---- The plugin ------------------------------------------------------------------------------------------------ */

typedef struct kiln_offer {
  uint32_t size;
  uint32_t oldest, newest; /* versions that the host speaks */
  const kiln_host *host;   /* lives as long as the process */
  kiln_string host_name;   /* "kiln 0.1.0" */
} kiln_offer;

typedef struct kiln_backend {
  uint32_t size;
  uint32_t version;                  /* chosen from the offer */
  kiln_string name;                  /* a C identifier: "cpu" */
  kiln_string title;                 /* for people, with the plugin's own version */
  const kiln_compile_api *compile;   /* null: no compile side */
  const kiln_run_api *run;           /* null: no run side */
  const kiln_option *const *options; /* option_count of them */
  size_t option_count;
  /* Programs keep the number of the plugin that compiled them, and later run with any of the same name that reads it:
   * artifact_oldest to artifact_version. 0: with that very file alone. artifact_oldest 0: artifact_version alone. */
  uint32_t artifact_version, artifact_oldest;
} kiln_backend;

/* What a shared object exports as `kiln_backend_plugin`, and an archive to be linked into programs as
 * `kiln_backend_<name>`. Gives a table that lives as long as the process, or null with an error. Any thread; may be
 * called more than once. */
typedef const kiln_backend *(*kiln_backend_fn)(const kiln_offer *offer, kiln_error *error);
#define KILN_BACKEND_SYMBOL "kiln_backend_plugin"

#ifdef __cplusplus
}
#endif

#endif /* KILN_BACKEND_H */
