/* artifact.h: what the compile side of the Vulkan backend leaves behind and its run side picks up. C99, like the ABI.
 *
 * The artifact is one blob of bytes, little-endian: kiln_vk_artifact at offset 0, then tables of the structs below,
 * each at an offset from the blob's start that is a multiple of 8. Indices count elements of the table that a comment
 * names, over the whole artifact. The blob may lie at any address that is a multiple of 8.
 *
 * A kernel has one variant or more, best first; the run side takes the first that the device, and the launch's places,
 * allow. A variant is a list of dispatches, run one after another; what each reads and writes is stated, and the run
 * side puts a barrier where the data demand one, within a kernel as between kernels.
 *
 * Conventions of the shaders
 * - SPIR-V 1.5 (Vulkan 1.2), entry point "main", one descriptor set, number 0; binding i of it is the dispatch's i-th
 *   kiln_vk_binding, a storage buffer.
 * - A binding's offset is the place's, rounded down to what the device demands; how many *elements* lie between the two
 *   is given in the word that asks for it (KILN_VK_WORD_BASE). A binding with no such word is read from its beginning:
 *   a place that cannot be bound exactly is an error there (the compile side leaves the word out only where every place
 *   of the program, at any iteration, is at a multiple of `alignment`).
 * - A place longer than `part_bytes` comes as several bindings: part p begins p * part_bytes after the first one's
 *   bound beginning, and is at most that long (the device's maxStorageBufferRange is at least that). Only where the
 *   binding says so.
 * - Words are 32 bits, two's complement, in the push constants; or, where there are more than 32, in a read-only
 * storage buffer (a binding of kind KILN_VK_BIND_WORDS, then no push constants).
 * - 0 workgroups in some direction: nothing is dispatched. Each is at most 65535.
 * - An operand that is read and then written in the same memory by every launch (the binding's `output`) is bound once.
 * - A dispatch with KILN_VK_BATCHES may do several launches at once, where none depends on another: gl_WorkGroupID.y
 *   counts them, and grid[1] is 1. Binding i is then an array of as many buffers as the constant KILN_VK_BUFFERS + i
 *   says (constant_id; 1 where it is not given): one for each launch, or one for all. The words of launch l begin at
 *   l * word_count. The grid is the largest of theirs: a shader leaves memory alone in workgroups that its launch does
 *   not have.
 * - Places of bool, 8 and 16 bits are read and written as such (storageBuffer8BitAccess, storageBuffer16BitAccess).
 */
#ifndef KILN_VULKAN_ARTIFACT_H
#define KILN_VULKAN_ARTIFACT_H

#include <stdint.h>

#define KILN_VK_MAGIC 0x4b564b31u /* "1KVK" */
#define KILN_VK_ARTIFACT_VERSION 6
#define KILN_VK_MAX_PUSH_WORDS 32
/* Of an invocation's loops: beyond that shaders have strips. (Mesa's llvmpipe ends them after 65,535.) */
#define KILN_VK_SURE_PASSES 60000
#define KILN_VK_NONE UINT32_MAX

/* Features of a device that a variant may need; bits of a mask. Names: kiln_vk_feature_name. */
enum {
  KILN_VK_F16 = 1u << 0,       /* shaderFloat16 */
  KILN_VK_F64 = 1u << 1,       /* shaderFloat64 */
  KILN_VK_I8 = 1u << 2,        /* shaderInt8 */
  KILN_VK_I16 = 1u << 3,       /* shaderInt16 */
  KILN_VK_I64 = 1u << 4,       /* shaderInt64 */
  KILN_VK_STORAGE8 = 1u << 5,  /* storageBuffer8BitAccess */
  KILN_VK_STORAGE16 = 1u << 6, /* storageBuffer16BitAccess */
  /* shaderSignedZeroInfNanPreserveFloat16, 32, 64: the device keeps NaN, infinities and -0 */
  KILN_VK_NAN16 = 1u << 7,
  KILN_VK_NAN32 = 1u << 8,
  KILN_VK_NAN64 = 1u << 9,
  KILN_VK_SUBGROUP_ARITHMETIC = 1u << 10, /* VK_SUBGROUP_FEATURE_ARITHMETIC_BIT in compute shaders */
  /* VK_KHR_cooperative_matrix with vulkanMemoryModel, its device scope and computeFullSubgroups, and a shape for f16 x
   * f16 + f32 -> f32 at the scope of subgroups whose sides are powers of two from 8 to 32, its sums 256 at most */
  KILN_VK_COOPERATIVE_MATRIX = 1u << 11,
  KILN_VK_BUFFER_ARRAYS = 1u << 13, /* shaderStorageBufferArrayDynamicIndexing */
  /* Not features but kinds of devices, for variants of which each is right everywhere, and one faster here */
  KILN_VK_ON_CPU = 1u << 12, /* VK_PHYSICAL_DEVICE_TYPE_CPU */
  /* With KILN_VK_COOPERATIVE_MATRIX. VK_KHR_shader_bfloat16 with its matrices, and a shape for bf16 x bf16 + f32 */
  KILN_VK_MATRIX_BF16 = 1u << 14,
  KILN_VK_MATRIX_I8 = 1u << 15, /* and a shape for i8 x i8 + i32, signed; the sides as above */
  KILN_VK_FEATURE_COUNT = 16
};

static inline const char *kiln_vk_feature_name(uint32_t bit) {
  static const char *const names[KILN_VK_FEATURE_COUNT] = {"shaderFloat16",
                                                           "shaderFloat64",
                                                           "shaderInt8",
                                                           "shaderInt16",
                                                           "shaderInt64",
                                                           "storageBuffer8BitAccess",
                                                           "storageBuffer16BitAccess",
                                                           "shaderSignedZeroInfNanPreserveFloat16",
                                                           "shaderSignedZeroInfNanPreserveFloat32",
                                                           "shaderSignedZeroInfNanPreserveFloat64",
                                                           "arithmetic subgroup operations",
                                                           "VK_KHR_cooperative_matrix (f16 to f32)",
                                                           "a processor as the device",
                                                           "shaderStorageBufferArrayDynamicIndexing",
                                                           "VK_KHR_cooperative_matrix (bf16 to f32)",
                                                           "VK_KHR_cooperative_matrix (i8 to i32)"};
  return bit < KILN_VK_FEATURE_COUNT ? names[bit] : "an unknown feature";
}

/* How a variant goes about it: what a device is tested with before it runs any of that kind. */
enum {
  KILN_VK_KIND_NONE = 0, /* made by hand */
  KILN_VK_KIND_ELEMENTS = 1,
  KILN_VK_KIND_ROWS = 2,
  KILN_VK_KIND_ROWS_SHARED = 3,
  KILN_VK_KIND_COLUMNS = 4,
  KILN_VK_KIND_COLUMNS_SHARED = 5,
  KILN_VK_KIND_PRODUCT = 6,
  KILN_VK_KIND_PRODUCT_SHARED = 7,
  KILN_VK_KIND_PRODUCT_MATRIX = 8,
  KILN_VK_KIND_SCATTER = 9,
  KILN_VK_KIND_ATTENTION = 10,
  KILN_VK_KIND_ATTENTION_SHARED = 11,
  KILN_VK_KIND_PRODUCT_BF16 = 12,
  KILN_VK_KIND_PRODUCT_I8 = 13,
  KILN_VK_KIND_PRODUCT_SPLIT = 14,
  KILN_VK_KIND_ATTENTION_MATRIX = 15,
  KILN_VK_KIND_COUNT = 16
};
static inline const char *kiln_vk_kind_name(uint32_t kind) {
  static const char *const names[KILN_VK_KIND_COUNT] = {"kernels made by hand",
                                                        "elements",
                                                        "rows",
                                                        "rows in workgroup memory",
                                                        "columns",
                                                        "columns in workgroup memory",
                                                        "products",
                                                        "products in workgroup memory",
                                                        "products of cooperative matrices",
                                                        "scatter",
                                                        "attention",
                                                        "attention in workgroup memory",
                                                        "products of cooperative matrices of bf16",
                                                        "products of cooperative matrices of i8",
                                                        "products of f32 split in two bf16",
                                                        "attention by cooperative matrices"};
  return kind < KILN_VK_KIND_COUNT ? names[kind] : "an unknown kind";
}

/* Expressions over a launch's extents (loop indices are among them): postfix, over 64-bit integers. The result of
 * `count` steps is what is left on the stack, which is never deeper than KILN_VK_MAX_DEPTH. Dividing by 0 is an error.
 */
enum {
  KILN_VK_CONST = 0,  /* pushes value */
  KILN_VK_EXTENT = 1, /* pushes the launch's extent number `value` */
  KILN_VK_ADD = 2,
  KILN_VK_SUB = 3,
  KILN_VK_MUL = 4,
  KILN_VK_DIV = 5, /* rounding down */
  KILN_VK_CEIL_DIV = 6,
  KILN_VK_MIN = 7,
  KILN_VK_MAX = 8
};
#define KILN_VK_MAX_DEPTH 16
typedef struct kiln_vk_step {
  uint32_t kind;
  uint32_t reserved;
  int64_t value;
} kiln_vk_step;
typedef struct kiln_vk_expression {
  uint32_t first, count; /* of steps */
} kiln_vk_expression;

/* Of a launch's place: its length in bytes, which it is read or written to. */
typedef struct kiln_vk_operand {
  uint32_t element_bytes;
  uint32_t access; /* by all of the kernel */
  kiln_vk_expression bytes;
} kiln_vk_operand;

enum {
  KILN_VK_BIND_OPERAND = 0, /* the launch's place `number`: inputs, then outputs */
  KILN_VK_BIND_SCRATCH = 1, /* the launch's scratch, from byte `number` on (a multiple of 256), `bytes` long */
  KILN_VK_BIND_STATUS = 2,  /* kiln_vk_record, one for each launch that has such a binding */
  KILN_VK_BIND_WORDS = 3    /* the words, where they are too many to push */
};
enum { KILN_VK_READS = 1, KILN_VK_WRITES = 2 };
typedef struct kiln_vk_binding {
  uint32_t kind;
  uint32_t number;
  uint32_t access; /* KILN_VK_READS, KILN_VK_WRITES, both */
  uint32_t part;   /* KILN_VK_NONE: all of it. Else which part of `part_bytes` bytes */
  uint32_t output; /* OPERAND: the place in the same memory that is written; KILN_VK_NONE: none */
  uint32_t reserved;
  kiln_vk_expression bytes; /* SCRATCH */
} kiln_vk_binding;

enum {
  KILN_VK_WORD_EXPRESSION = 0, /* its value; outside int32 it is an error */
  KILN_VK_WORD_BASE = 1        /* of the dispatch's binding `number`, in the operand's elements */
};
typedef struct kiln_vk_word {
  uint32_t kind;
  uint32_t number;
  kiln_vk_expression value;
} kiln_vk_word;

enum {
  KILN_VK_SPECIALIZE_LITERAL = 0,
  KILN_VK_SPECIALIZE_SUBGROUP_SIZE = 1,
  /* Of the device's shape for KILN_VK_COOPERATIVE_MATRIX: sums are rows x columns */
  KILN_VK_SPECIALIZE_MATRIX_ROWS = 2,
  KILN_VK_SPECIALIZE_MATRIX_COLUMNS = 3,
  KILN_VK_SPECIALIZE_MATRIX_DEPTH = 4,
  KILN_VK_SPECIALIZE_STRIP = 5, /* `value` where the driver ends loops, and strips help against it; else 1 */
  /* Of its shapes for KILN_VK_MATRIX_BF16 and KILN_VK_MATRIX_I8: rows, columns and depth in turn */
  KILN_VK_SPECIALIZE_BF16_ROWS = 6,
  KILN_VK_SPECIALIZE_I8_ROWS = 9,
  KILN_VK_SPECIALIZE_COUNT = 12
};
typedef struct kiln_vk_specialization {
  uint32_t id;   /* constant_id, a 32-bit constant */
  uint32_t kind; /* what it gets: `value`, or the device's */
  uint32_t value;
} kiln_vk_specialization;

#define KILN_VK_BUFFERS 1000u /* constant_id of binding 0's number of buffers */
#define KILN_VK_STRIP 999u    /* constant_id of KILN_VK_SPECIALIZE_STRIP */
enum {
  KILN_VK_BATCHES = 1,
  KILN_VK_FULL_SUBGROUPS = 2 /* which the device makes full: of variants with KILN_VK_COOPERATIVE_MATRIX alone */
};

/* Packed as kiln_vk_unpack describes. Two dispatches may share one. */
typedef struct kiln_vk_shader {
  uint32_t code; /* offset from the blob's start, any */
  uint32_t code_bytes;
  uint32_t words; /* of the SPIR-V */
} kiln_vk_shader;

typedef struct kiln_vk_dispatch {
  uint32_t shader;
  uint32_t first_binding, binding_count;
  uint32_t first_word, word_count;
  uint32_t first_specialization, specialization_count;
  uint32_t local[3];               /* the workgroup, at its largest where it is specialized */
  uint32_t shared_bytes;           /* of workgroup memory */
  uint32_t required_subgroup_size; /* 0: any */
  uint32_t flags;                  /* KILN_VK_BATCHES, KILN_VK_FULL_SUBGROUPS */
  kiln_vk_expression grid[3];      /* workgroups */
  /* How often an invocation's loops come round in all, at the bounds: with strips of 1, and of what is specialized */
  uint64_t passes, stripped_passes;
} kiln_vk_dispatch;

typedef struct kiln_vk_variant {
  uint32_t features;                       /* that it needs */
  uint32_t subgroup_least, subgroup_most;  /* sizes that it works with; 0 and 0: any */
  uint32_t align;                          /* every place's byte offset is a multiple of it; else the next variant */
  uint32_t first_dispatch, dispatch_count; /* workgroup memory and invocations are the dispatches' */
  uint32_t kind;                           /* KILN_VK_KIND_...: a device that fails its self-test does without */
} kiln_vk_variant;

typedef struct kiln_vk_kernel {
  uint32_t first_operand, operand_count; /* inputs, then outputs */
  uint32_t first_variant, variant_count;
  uint64_t scratch_bytes; /* as claimed */
} kiln_vk_kernel;

typedef struct kiln_vk_artifact {
  uint32_t magic, version;
  uint64_t bytes;    /* of the blob */
  uint64_t checksum; /* FNV-1a, 64 bits, of all that follows this field */
  uint64_t part_bytes;
  uint32_t
      alignment; /* that missing WORD_BASE words count on; the device's minStorageBufferOffsetAlignment divides it */
  uint32_t features;              /* that some kernel needs in each of its variants */
  uint32_t kernel_count, kernels; /* in the program's order; tables' offsets from the blob's start */
  uint32_t operand_count, operands;
  uint32_t variant_count, variants;
  uint32_t dispatch_count, dispatches;
  uint32_t binding_count, bindings;
  uint32_t word_count, words;
  uint32_t specialization_count, specializations;
  uint32_t step_count, steps;
  uint32_t shader_count, shaders;
} kiln_vk_artifact;

static inline uint64_t kiln_vk_checksum(const uint8_t *bytes, uint64_t count) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint64_t i = 0; i < count; ++i)
    hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

/* Of one launch: all zero before an execution. `if (atomicCompSwap(claimed, 0u, 1u) == 0u)` fills the rest. The run
 * side looks through them in launch order when an execution is over. */
typedef struct kiln_vk_record {
  uint32_t claimed;
  uint32_t kind; /* kiln_status_kind */
  uint32_t op;
  uint32_t reserved;
  uint32_t value[2]; /* low, high */
  uint32_t limit[2];
} kiln_vk_record;

/* SPIR-V's words are mostly small numbers, so they are kept as LEB128: seven bits a byte, lowest first, the top bit set
 * in all bytes of a word but its last. The first word of an instruction (from the sixth word of the module on) is kept
 * as op << 4 | min(length, 15), and where that is 15, the length in a word of its own behind it.
 * Gives 1, or 0 where the bytes are not exactly `count` words. */
static inline int kiln_vk_unpack(const uint8_t *bytes, uint32_t size, uint32_t *words, uint32_t count) {
  uint32_t at = 0, left = 0;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t value[2] = {0, 0};
    int more = i >= 5 && left == 0, parts = 1;
    for (int part = 0; part < parts; ++part) {
      int shift = 0;
      uint8_t byte;
      do {
        if (at == size || shift > 28)
          return 0;
        byte = bytes[at++];
        value[part] |= (uint32_t)(byte & 127) << shift;
        shift += 7;
      } while (byte & 128);
      if (more && part == 0 && (value[0] & 15) == 15)
        parts = 2;
    }
    if (more) {
      uint32_t length = parts == 2 ? value[1] : value[0] & 15;
      if (length == 0 || length > 65535 || length > count - i)
        return 0;
      left = length - 1;
      words[i] = length << 16 | (value[0] >> 4 & 65535);
    } else {
      left -= i >= 5;
      words[i] = value[0];
    }
  }
  return at == size && left == 0;
}

#endif /* KILN_VULKAN_ARTIFACT_H */
