// How this side of the ABI holds kernels and programs: what the opaque types of kiln_backend.h are, and the reader
// that backends see them through. The compiler and a program's runtime share it; backends never include it.
#pragma once

#include "backends/api/kiln_backend.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kiln {

/// A value of a kernel.
struct ValueRow {
  kiln_dtype dtype;
  uint32_t rank;
  const kiln_extent *dims;
};

struct OpRow {
  kiln_string name;
  size_t operand_count;
  const uint32_t *operands;
  size_t result_count;
  const uint32_t *results;
  size_t attr_count;
  const kiln_attr *attrs; ///< with their sizes set or not: the reader sets them
  kiln_location location;
  const kiln_kernel *region = nullptr; ///< of a scan
};

} // namespace kiln

// Everything that these point to belongs to whoever fills them.
struct kiln_kernel {
  kiln_string name;
  int32_t shape; ///< kiln_group_shape
  size_t value_count;
  const kiln::ValueRow *values;
  size_t input_count;
  const uint32_t *inputs;
  size_t output_count;
  const uint32_t *outputs;
  size_t op_count;
  const kiln::OpRow *ops;
  size_t extent_count;
  const int64_t *extent_bounds;
  const int32_t *alias;
  int32_t piece = 0; ///< while it is offered: split off a larger one
};

struct kiln_node {
  kiln_node_kind kind;
  size_t child_count;
  const kiln_node *children;
  uint32_t kernel;
  size_t place_count;
  const kiln_place *places;
  size_t extent_count;
  const kiln_extent *extents;
  kiln_place scratch; ///< offset -1: none
  kiln_extent count;
  int32_t index_slot;
  int reverse;
  kiln_place condition;
};

namespace kiln {
/// What is known of an entry's argument beside its bytes.
struct ArgumentRow {
  kiln_role role;
  uint32_t flags; ///< KILN_ARGUMENT_*
  kiln_string name;
  kiln_dtype dtype;
  uint32_t rank;
  const kiln_extent *dims;
};

struct EntryRow {
  kiln_string name;
  size_t argument_count;
  const int64_t *argument_bytes;
  size_t extent_count;
  size_t loop_slot_count;
  const int64_t *extent_bounds; ///< may be null
  int64_t arena_bytes;
  kiln_node root;
  const ArgumentRow *arguments = nullptr; ///< may be null
};
} // namespace kiln

struct kiln_program {
  size_t kernel_count;
  const kiln_kernel *kernels;
  size_t entry_count;
  const kiln::EntryRow *entries;
  const uint8_t *constants;
  size_t constant_bytes;
};

namespace kiln {

/// Of a role's name in a manifest.
kiln_role roleOf(std::string_view name, bool optimizerState);

/// The reader of these tables, for kiln_host::reader.
const kiln_reader *tableReader();

} // namespace kiln
