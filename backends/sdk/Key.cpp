// Number by number and string by string, each list behind its length, so that no two kernels run together to the same
// bytes.
#include "backends/sdk/Key.h"

#include <cstring>

namespace kiln::sdk {

namespace {
struct Writer {
  std::string bytes;

  template <typename T> void number(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes.append(raw, sizeof raw);
  }
  void string(kiln_string text) {
    number(static_cast<uint64_t>(text.size));
    if (text.size)
      bytes.append(text.data, text.size);
  }
  template <typename T> void list(const T *values, size_t count) {
    number(static_cast<uint64_t>(values ? count : 0));
    for (size_t i = 0; values && i < count; ++i)
      number(values[i]);
  }
  void extents(const kiln_extent *values, size_t count) {
    number(static_cast<uint64_t>(values ? count : 0));
    for (size_t i = 0; values && i < count; ++i) {
      number(values[i].value);
      number(values[i].slot);
    }
  }

  void attribute(const kiln_attr &attr) {
    string(attr.name);
    number(attr.kind);
    switch (attr.kind) {
    case KILN_ATTR_INT:
      return number(attr.integer);
    case KILN_ATTR_FLOAT:
      return number(attr.number);
    case KILN_ATTR_INTS:
      return list(attr.ints, attr.count);
    case KILN_ATTR_EXTENTS:
      return extents(attr.extents, attr.count);
    default:
      return string(attr.string);
    }
  }
};
} // namespace

std::string keyOf(const kiln_reader &reader, const kiln_kernel *kernel) {
  Writer writer;
  kiln_kernel_info info{};
  info.size = sizeof info;
  reader.kernel(kernel, &info);
  writer.number(info.shape);
  writer.list(info.inputs, info.input_count);
  writer.list(info.outputs, info.output_count);
  writer.list(info.alias, info.output_count);
  writer.list(info.extent_bounds, info.extent_count);
  writer.number(info.value_count);
  for (uint32_t i = 0; i < info.value_count; ++i) {
    kiln_type type{};
    type.size = sizeof type;
    reader.value(kernel, i, &type);
    writer.number(type.dtype);
    writer.extents(type.dims, type.rank);
  }
  writer.number(info.op_count);
  for (uint32_t i = 0; i < info.op_count; ++i) {
    kiln_op op{};
    op.size = sizeof op;
    reader.op(kernel, i, &op);
    writer.string(op.name);
    writer.list(op.operands, op.operand_count);
    writer.list(op.results, op.result_count);
    writer.number(op.attr_count);
    for (uint32_t number = 0; number < op.attr_count; ++number) {
      kiln_attr attr{};
      attr.size = sizeof attr;
      reader.attr(kernel, i, number, &attr);
      writer.attribute(attr);
    }
  }
  return std::move(writer.bytes);
}

} // namespace kiln::sdk
