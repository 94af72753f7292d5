// The blob written and read back, every length checked before it is believed.

#include "backends/reference/Blob.h"

#include "backends/api/kiln_text.h"

#include <algorithm>
#include <cstring>

namespace kiln::reference {

using sdk::Attr;
using sdk::Graph;
using sdk::Op;
using sdk::Type;

namespace {

constexpr char magic[] = {'K', 'R', 'E', 'F'};
constexpr size_t headerBytes = 24;

uint64_t checksum(const uint8_t *bytes, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i)
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

//===-- The format, said once for both directions -----------------------------------------------------------------===//

class Writer {
public:
  std::string bytes;
  bool good() const { return true; }
  template <typename T> void number(const T &value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  void dtype(kiln_dtype value) { number(static_cast<int32_t>(value)); }
  void text(const std::string &value) {
    number(static_cast<uint64_t>(value.size()));
    bytes += value;
  }
  template <typename T, typename F> void list(std::vector<T> &items, size_t, F each) {
    number(static_cast<uint64_t>(items.size()));
    for (T &item : items)
      each(item);
  }
};

class Reader {
public:
  Reader(const uint8_t *bytes, uint64_t size) : at(bytes), left(size) {}
  bool good() const { return !failed; }
  bool atEnd() const { return left == 0; }
  template <typename T> void number(T &value) {
    if (!take(sizeof value))
      return;
    std::memcpy(&value, at - sizeof value, sizeof value);
  }
  /// A number that no dtype has would not even be a value of the enumeration.
  void dtype(kiln_dtype &value) {
    int32_t number = -1;
    this->number(number);
    if (number < 0 || number > KILN_QUANTIZED)
      failed = true;
    else
      value = kiln_dtype(number);
  }
  void text(std::string &value) {
    uint64_t size = 0;
    number(size);
    if (take(size))
      value.assign(reinterpret_cast<const char *>(at - size), size);
  }
  /// `least`: the bytes that an item has at least.
  template <typename T, typename F> void list(std::vector<T> &items, size_t least, F each) {
    uint64_t count = 0;
    number(count);
    if (failed || count > left / least) {
      failed = true;
      return;
    }
    items.resize(count);
    for (T &item : items) {
      each(item);
      if (failed)
        return;
    }
  }

private:
  const uint8_t *at;
  uint64_t left;
  bool failed = false;
  bool take(uint64_t bytes) {
    failed = failed || bytes > left;
    if (failed)
      return false;
    at += bytes;
    left -= bytes;
    return true;
  }
};

template <typename Stream> void code(Stream &stream, kiln_extent &extent) {
  stream.number(extent.value);
  stream.number(extent.slot);
}

template <typename Stream> void code(Stream &stream, Attr &attr) {
  stream.text(attr.name);
  stream.number(attr.kind);
  stream.number(attr.integer);
  stream.number(attr.number);
  stream.text(attr.string);
  stream.list(attr.ints, 8, [&](int64_t &value) { stream.number(value); });
  stream.list(attr.extents, 12, [&](kiln_extent &extent) { code(stream, extent); });
}

// A loop deeper than this is no kernel's, whatever a blob says.
constexpr int mostRegions = 8;

template <typename Stream> void code(Stream &stream, Graph &graph, int depth = 0) {
  auto word = [&](uint32_t &value) { stream.number(value); };
  stream.text(graph.name);
  stream.number(graph.shape);
  stream.list(graph.extentBounds, 8, [&](int64_t &bound) { stream.number(bound); });
  stream.list(graph.values, 12, [&](Type &type) {
    stream.dtype(type.dtype);
    stream.list(type.dims, 12, [&](kiln_extent &extent) { code(stream, extent); });
  });
  stream.list(graph.inputs, 4, word);
  stream.list(graph.outputs, 4, word);
  stream.list(graph.alias, 4, [&](int32_t &alias) { stream.number(alias); });
  stream.list(graph.ops, 44, [&](Op &op) {
    stream.number(op.number);
    stream.text(op.name);
    stream.text(op.location);
    stream.list(op.operands, 4, word);
    stream.list(op.results, 4, word);
    stream.list(op.attrs, 52, [&](Attr &attr) { code(stream, attr); });
    if (depth < mostRegions)
      stream.list(op.region, 1, [&](Graph &region) { code(stream, region, depth + 1); });
  });
}

//===-- A decoded graph as a reader gives it: what checks a plugin's input checks a blob too ----------------------===//

const Graph &graphOf(const kiln_kernel *kernel) { return *reinterpret_cast<const Graph *>(kernel); }
void readKernel(const kiln_kernel *kernel, kiln_kernel_info *info) {
  const Graph &graph = graphOf(kernel);
  info->value_count = static_cast<uint32_t>(graph.values.size());
  info->op_count = static_cast<uint32_t>(graph.ops.size());
  info->input_count = static_cast<uint32_t>(graph.inputs.size());
  info->output_count = static_cast<uint32_t>(graph.outputs.size());
  info->extent_count = static_cast<uint32_t>(graph.extentBounds.size());
  info->name = text(graph.name);
  info->shape = graph.shape;
  info->inputs = graph.inputs.data();
  info->outputs = graph.outputs.data();
  info->extent_bounds = graph.extentBounds.data();
  info->alias = graph.alias.data();
}

void readValue(const kiln_kernel *kernel, uint32_t number, kiln_type *type) {
  const Type &value = graphOf(kernel).values[number];
  type->dtype = value.dtype;
  type->rank = static_cast<uint32_t>(value.dims.size());
  type->dims = value.dims.data();
}

void readOp(const kiln_kernel *kernel, uint32_t number, kiln_op *op) {
  const Op &source = graphOf(kernel).ops[number];
  op->attr_count = static_cast<uint32_t>(source.attrs.size());
  op->name = text(source.name);
  op->operand_count = static_cast<uint32_t>(source.operands.size());
  op->result_count = static_cast<uint32_t>(source.results.size());
  op->operands = source.operands.data();
  op->results = source.results.data();
  op->region = source.region.empty() ? nullptr : reinterpret_cast<const kiln_kernel *>(source.region.data());
}

void readAttr(const kiln_kernel *kernel, uint32_t op, uint32_t number, kiln_attr *attr) {
  const Attr &source = graphOf(kernel).ops[op].attrs[number];
  attr->kind = source.kind;
  attr->name = text(source.name);
  attr->integer = source.integer;
  attr->number = source.number;
  attr->string = text(source.string);
  attr->count = source.kind == KILN_ATTR_INTS ? source.ints.size() : source.extents.size();
  attr->ints = source.ints.data();
  attr->extents = source.extents.data();
}

bool hasAliases(const Graph &graph) {
  return graph.alias.size() == graph.outputs.size() &&
         std::all_of(graph.ops.begin(), graph.ops.end(),
                     [](const Op &op) { return std::all_of(op.region.begin(), op.region.end(), hasAliases); });
}

void takeLocations(const Graph &from, Graph &to) {
  for (size_t i = 0; i < to.ops.size(); ++i) {
    to.ops[i].location = from.ops[i].location;
    for (size_t r = 0; r < to.ops[i].region.size(); ++r)
      takeLocations(from.ops[i].region[r], to.ops[i].region[r]);
  }
}

bool check(Graph &raw, Graph &checked, std::string &error) {
  kiln_reader reader{};
  reader.size = sizeof reader;
  reader.kernel = readKernel;
  reader.value = readValue;
  reader.op = readOp;
  reader.attr = readAttr;
  if (!hasAliases(raw)) {
    error = "its outputs and aliases differ in number";
    return false;
  }
  if (!Graph::read(reader, reinterpret_cast<const kiln_kernel *>(&raw), checked, error))
    return false;
  takeLocations(raw, checked);
  return true;
}

} // namespace

std::string encode(const std::vector<Graph> &kernels) {
  Writer writer;
  std::vector<Graph> copies = kernels;
  writer.number(static_cast<uint32_t>(copies.size()));
  for (Graph &graph : copies)
    code(writer, graph);
  Writer blob;
  blob.bytes.assign(magic, sizeof magic);
  blob.number(blobVersion);
  blob.number(static_cast<uint64_t>(headerBytes + writer.bytes.size()));
  blob.number(checksum(reinterpret_cast<const uint8_t *>(writer.bytes.data()), writer.bytes.size()));
  return blob.bytes + writer.bytes;
}

bool decode(const void *data, uint64_t size, std::vector<Graph> &kernels, std::string &error) {
  auto *bytes = static_cast<const uint8_t *>(data);
  auto fail = [&](const std::string &what) {
    error = "the artifact of the reference backend " + what;
    return false;
  };
  if (!bytes || size < headerBytes || std::memcmp(bytes, magic, sizeof magic) != 0)
    return fail("is none: it does not begin as one");
  Reader header(bytes + sizeof magic, headerBytes - sizeof magic);
  uint32_t version = 0, count = 0;
  uint64_t stated = 0, sum = 0;
  header.number(version);
  header.number(stated);
  header.number(sum);
  if (version != blobVersion)
    return fail("is of version " + std::to_string(version) + ", this one reads version " + std::to_string(blobVersion) +
                "; build the program again");
  if (stated != size)
    return fail("has " + std::to_string(size) + " bytes where it says " + std::to_string(stated));
  if (checksum(bytes + headerBytes, size - headerBytes) != sum)
    return fail("has been changed: its checksum does not hold");
  Reader reader(bytes + headerBytes, size - headerBytes);
  reader.number(count);
  kernels.clear();
  for (uint32_t k = 0; k < count; ++k) {
    Graph raw;
    std::string what;
    code(reader, raw);
    if (!reader.good())
      return fail("ends within kernel " + std::to_string(k) + ", or states a length or a dtype that there is not");
    if (!check(raw, kernels.emplace_back(), what))
      return fail("has a kernel '" + raw.name + "' that is not well formed: " + what);
  }
  return reader.atEnd() || fail("has bytes left over behind its kernels");
}

} // namespace kiln::reference
