// The one reader of the interface's structs.

#include "backends/api/kiln_text.h"
#include "runtime/backend/Inside.h"
#include "runtime/backend/Tree.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kiln {

namespace {

/// Writes as much of a struct as its reader has room for; the reader's size stays.
template <typename Info> void give(const Info &info, Info *out) {
  size_t room = std::min<size_t>(out->size, sizeof(Info));
  if (room > sizeof(uint32_t))
    std::memcpy(reinterpret_cast<char *>(out) + sizeof(uint32_t),
                reinterpret_cast<const char *>(&info) + sizeof(uint32_t), room - sizeof(uint32_t));
}

uint32_t narrow(size_t count) { return static_cast<uint32_t>(count); }

const char *kindOf(int32_t shape) {
  switch (shape) {
#define KILN_SHAPE(number, name, kind)                                                                                 \
  case number:                                                                                                         \
    return kind;
#include "backends/api/shapes.inc"
#undef KILN_SHAPE
  }
  return "loops";
}

void readKernel(const kiln_kernel *kernel, kiln_kernel_info *out) {
  if (kernel->name.size != 0) // a region has no name
    noteKernelRead(view(kernel->name));
  kiln_kernel_info info = {};
  info.value_count = narrow(kernel->value_count);
  info.op_count = narrow(kernel->op_count);
  info.input_count = narrow(kernel->input_count);
  info.output_count = narrow(kernel->output_count);
  info.extent_count = narrow(kernel->extent_count);
  info.name = kernel->name;
  const char *kind = kindOf(kernel->shape);
  info.kind = {kind, std::strlen(kind)};
  info.inputs = kernel->inputs;
  info.outputs = kernel->outputs;
  info.extent_bounds = kernel->extent_bounds;
  info.alias = kernel->alias;
  info.shape = kernel->shape;
  info.piece = kernel->piece;
  give(info, out);
}

void readValue(const kiln_kernel *kernel, uint32_t number, kiln_type *out) {
  kiln_type type = {};
  if (number < kernel->value_count) {
    const ValueRow &row = kernel->values[number];
    type.dtype = row.dtype;
    type.rank = row.rank;
    type.dims = row.dims;
  }
  give(type, out);
}

void readOp(const kiln_kernel *kernel, uint32_t number, kiln_op *out) {
  kiln_op op = {};
  if (number < kernel->op_count) {
    const OpRow &row = kernel->ops[number];
    op.attr_count = narrow(row.attr_count);
    op.name = row.name;
    op.operand_count = narrow(row.operand_count);
    op.result_count = narrow(row.result_count);
    op.operands = row.operands;
    op.results = row.results;
    op.location = row.location;
    op.region = row.region;
  }
  give(op, out);
}

void readAttr(const kiln_kernel *kernel, uint32_t op, uint32_t number, kiln_attr *out) {
  bool known = op < kernel->op_count && number < kernel->ops[op].attr_count;
  give(known ? kernel->ops[op].attrs[number] : kiln_attr{}, out);
}

int findAttr(const kiln_kernel *kernel, uint32_t op, kiln_string name, kiln_attr *out) {
  if (op >= kernel->op_count)
    return 0;
  const OpRow &row = kernel->ops[op];
  for (size_t i = 0; i < row.attr_count; ++i) {
    const kiln_attr &attr = row.attrs[i];
    if (attr.name.size != name.size || std::memcmp(attr.name.data, name.data, name.size) != 0)
      continue;
    give(attr, out);
    return 1;
  }
  return 0;
}

void readProgram(const kiln_program *program, kiln_program_info *out) {
  kiln_program_info info = {};
  info.kernel_count = narrow(program->kernel_count);
  info.entry_count = narrow(program->entry_count);
  info.constants = program->constants;
  info.constant_bytes = program->constant_bytes;
  give(info, out);
}

const kiln_kernel *programKernel(const kiln_program *program, uint32_t number) {
  return number < program->kernel_count ? &program->kernels[number] : nullptr;
}

void readEntry(const kiln_program *program, uint32_t number, kiln_entry_info *out) {
  kiln_entry_info info = {};
  if (number < program->entry_count) {
    const EntryRow &row = program->entries[number];
    info.argument_count = narrow(row.argument_count);
    info.name = row.name;
    info.argument_bytes = row.argument_bytes;
    info.extent_count = narrow(row.extent_count);
    info.loop_slot_count = narrow(row.loop_slot_count);
    info.extent_bounds = row.extent_bounds;
    info.arena_bytes = row.arena_bytes;
    info.root = &row.root;
  }
  give(info, out);
}

void readArgument(const kiln_program *program, uint32_t entry, uint32_t number, kiln_argument *out) {
  kiln_argument info = {};
  if (entry < program->entry_count && number < program->entries[entry].argument_count &&
      program->entries[entry].arguments) {
    const ArgumentRow &row = program->entries[entry].arguments[number];
    info.flags = row.flags;
    info.role = row.role;
    info.dtype = row.dtype;
    info.name = row.name;
    info.rank = row.rank;
    info.dims = row.dims;
  }
  give(info, out);
}

void readNode(const kiln_node *node, kiln_node_info *out) {
  kiln_node_info info = {};
  info.kind = node->kind;
  info.child_count = narrow(node->child_count);
  info.kernel = node->kernel;
  info.place_count = narrow(node->place_count);
  info.extent_count = narrow(node->extent_count);
  info.places = node->places;
  info.extents = node->extents;
  const kiln_node_traits *traits = kiln_traits_of_node(node->kind);
  info.scratch = isLaunch(*node) && node->scratch.offset >= 0 ? &node->scratch : nullptr;
  info.condition = traits && traits->tests ? &node->condition : nullptr;
  info.count = node->count;
  info.index_slot = node->index_slot;
  info.reverse = node->reverse;
  give(info, out);
}

const kiln_node *childOf(const kiln_node *node, uint32_t number) {
  return number < node->child_count ? &node->children[number] : nullptr;
}

} // namespace

kiln_role roleOf(std::string_view name, bool optimizerState) {
  static constexpr std::pair<std::string_view, kiln_role> roles[] = {
      {"input", KILN_ROLE_INPUT},   {"parameter", KILN_ROLE_PARAMETER}, {"state", KILN_ROLE_STATE},
      {"seed", KILN_ROLE_SEED},     {"step", KILN_ROLE_STEP},           {"loss", KILN_ROLE_LOSS},
      {"metric", KILN_ROLE_METRIC}, {"gradient", KILN_ROLE_GRADIENT},   {"arranged", KILN_ROLE_PARAMETER}};
  if (optimizerState)
    return KILN_ROLE_OPTIMIZER_STATE;
  for (const auto &[known, role] : roles)
    if (name == known)
      return role;
  return KILN_ROLE_OUTPUT; // a part of a metric, a weight of an example
}

const kiln_reader *tableReader() {
  static const kiln_reader reader = {sizeof(kiln_reader), readKernel,    readValue, readOp,   readAttr, findAttr,
                                     readProgram,         programKernel, readEntry, readNode, childOf,  readArgument};
  return &reader;
}

} // namespace kiln
