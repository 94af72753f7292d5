#include "tests/backends/cpu/TestKernel.h"
#include "backends/sdk/Graph.h"
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace kiln::test {

//===-- Tensors --------------------------------------------------------------------------------------------------===//

Tensor Tensor::make(kiln_dtype dtype, std::vector<int64_t> shape) {
  Tensor t{dtype, std::move(shape), {}};
  t.bytes.resize(static_cast<size_t>(t.count() * sdk::byteSize(dtype)));
  return t;
}

int64_t Tensor::count() const {
  int64_t n = 1;
  for (int64_t d : shape)
    n *= d;
  return n;
}

template <class T> static T read(const Tensor &t, int64_t i) {
  T value;
  std::memcpy(&value, t.bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}
template <class T> static void write(Tensor &t, int64_t i, T value) {
  std::memcpy(t.bytes.data() + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
}

Number Tensor::get(int64_t i) const {
  auto whole = [](int64_t v) { return Number{static_cast<double>(v), v}; };
  switch (dtype) {
  case KILN_F32:
    return {read<float>(*this, i), 0};
  case KILN_F64:
    return {read<double>(*this, i), 0};
  case KILN_BF16: {
    uint32_t bits = static_cast<uint32_t>(read<uint16_t>(*this, i)) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return {value, 0};
  }
  case KILN_F16:
    return {static_cast<double>(read<_Float16>(*this, i)), 0};
  case KILN_I8:
    return whole(read<int8_t>(*this, i));
  case KILN_I32:
    return whole(read<int32_t>(*this, i));
  case KILN_U32:
    return whole(read<uint32_t>(*this, i));
  case KILN_I64:
    return whole(read<int64_t>(*this, i));
  default:
    return whole(read<uint8_t>(*this, i));
  }
}

void Tensor::set(int64_t i, Number v) {
  switch (dtype) {
  case KILN_F32:
    return write(*this, i, static_cast<float>(v.real));
  case KILN_F64:
    return write(*this, i, v.real);
  case KILN_BF16: {
    float value = static_cast<float>(v.real);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = std::isnan(value) ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    return write(*this, i, static_cast<uint16_t>(bits >> 16));
  }
  case KILN_F16:
    return write(*this, i, _Float16(v.real));
  case KILN_I8:
    return write(*this, i, static_cast<int8_t>(v.whole));
  case KILN_I32:
    return write(*this, i, static_cast<int32_t>(v.whole));
  case KILN_U32:
    return write(*this, i, static_cast<uint32_t>(v.whole));
  case KILN_I64:
    return write(*this, i, v.whole);
  case KILN_BOOL:
    return write(*this, i, static_cast<uint8_t>(v.whole != 0));
  default:
    return write(*this, i, static_cast<uint8_t>(v.whole));
  }
}

Tensor randomTensor(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint32_t seed) {
  Tensor t = Tensor::make(dtype, std::move(shape));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> real(low, high);
  for (int64_t i = 0; i < t.count(); ++i) {
    double value = real(generator);
    t.set(i, {value, static_cast<int64_t>(std::floor(value))});
  }
  return t;
}

//===-- Attributes and kernels -----------------------------------------------------------------------------------===//

Attr integer(std::string name, int64_t value) { return {std::move(name), KILN_ATTR_INT, value, {}, {}, {}}; }
Attr string(std::string name, std::string value) {
  return {std::move(name), KILN_ATTR_STRING, 0, std::move(value), {}, {}};
}
Attr ints(std::string name, std::vector<int64_t> values) {
  return {std::move(name), KILN_ATTR_INTS, 0, {}, std::move(values), {}};
}
Attr extents(std::string name, Dims values) {
  return {std::move(name), KILN_ATTR_EXTENTS, 0, {}, {}, std::move(values)};
}
Attr bytes(const std::string &value) { return {"value", KILN_ATTR_BYTES, 0, value, {}, {}}; }

const Attr *TestKernel::OpData::find(const std::string &wanted) const {
  for (const Attr &attr : attrs)
    if (attr.name == wanted)
      return &attr;
  return nullptr;
}
int64_t TestKernel::OpData::integer(const std::string &wanted, int64_t otherwise) const {
  const Attr *attr = find(wanted);
  return attr ? attr->i : otherwise;
}
std::vector<int64_t> TestKernel::OpData::ints(const std::string &wanted) const {
  const Attr *attr = find(wanted);
  return attr ? attr->ints : std::vector<int64_t>();
}

TestKernel::TestKernel(std::string name, std::string shape) : name(std::move(name)) {
#define KILN_SHAPE(number, word, kind)                                                                                 \
  if (shape == #word)                                                                                                  \
    this->shape = number;
#include "backends/api/shapes.inc"
#undef KILN_SHAPE
}

void TestKernel::note(const Dims &dims) {
  for (const Dim &dim : dims)
    if (dim.slot >= 0) {
      if (extentBounds.size() <= static_cast<size_t>(dim.slot))
        extentBounds.resize(static_cast<size_t>(dim.slot) + 1, 1);
      extentBounds[static_cast<size_t>(dim.slot)] = dim.value;
    }
}

uint32_t TestKernel::input(kiln_dtype dtype, Dims dims) {
  note(dims);
  types.push_back({dtype, std::move(dims)});
  inputs.push_back(static_cast<uint32_t>(types.size() - 1));
  return inputs.back();
}

uint32_t TestKernel::op(std::string opName, std::vector<uint32_t> operands, kiln_dtype dtype, Dims dims,
                        std::vector<Attr> attrs) {
  note(dims);
  for (const Attr &attr : attrs)
    note(attr.extents);
  types.push_back({dtype, std::move(dims)});
  ops.push_back({std::move(opName), std::move(operands), {static_cast<uint32_t>(types.size() - 1)}, std::move(attrs)});
  return ops.back().results[0];
}

uint32_t TestKernel::op(std::string opName, std::vector<uint32_t> operands) {
  Type type = types[operands[0]];
  return op(std::move(opName), std::move(operands), type.dtype, type.dims);
}

std::pair<uint32_t, uint32_t> TestKernel::op2(std::string opName, uint32_t operand, kiln_dtype first, kiln_dtype second,
                                              Dims dims, std::vector<Attr> attrs) {
  uint32_t a = op(std::move(opName), {operand}, first, dims, std::move(attrs));
  types.push_back({second, std::move(dims)});
  ops.back().results.push_back(static_cast<uint32_t>(types.size() - 1));
  return {a, static_cast<uint32_t>(types.size() - 1)};
}

uint32_t TestKernel::constant(kiln_dtype dtype, double value, Dims dims) {
  Tensor one = Tensor::make(dtype, {});
  one.set(0, {value, static_cast<int64_t>(value)});
  return op("constant", {}, dtype, std::move(dims), {bytes(std::string(one.bytes.begin(), one.bytes.end()))});
}

uint32_t TestKernel::constant(const Tensor &value) {
  Dims dims(value.shape.begin(), value.shape.end());
  return op("constant", {}, value.dtype, std::move(dims), {bytes(std::string(value.bytes.begin(), value.bytes.end()))});
}

void TestKernel::output(uint32_t value, int32_t aliasOf) {
  outputs.push_back(value);
  alias.push_back(aliasOf);
}

std::vector<int64_t> TestKernel::valuesOf(const Dims &dims) const {
  std::vector<int64_t> values;
  for (const Dim &dim : dims)
    values.push_back(dim.slot < 0 ? dim.value : extentValues.at(static_cast<size_t>(dim.slot)));
  return values;
}
std::vector<int64_t> TestKernel::shapeOf(uint32_t value) const { return valuesOf(types[value].dims); }

const kiln_kernel &TestKernel::get() {
  builtTypes.clear();
  builtOps.clear();
  extentStore.clear();
  attrStore.clear();
  auto extentsOf = [&](const Dims &dims) {
    std::vector<kiln_extent> list;
    for (const Dim &dim : dims)
      list.push_back({dim.value, dim.slot});
    extentStore.push_back(std::move(list));
    return extentStore.back().data();
  };
  for (const Type &type : types)
    builtTypes.push_back({type.dtype, static_cast<uint32_t>(type.dims.size()), extentsOf(type.dims)});
  for (const OpData &op : ops) {
    std::vector<kiln_attr> attrs;
    for (const Attr &attr : op.attrs)
      attrs.push_back({sizeof(kiln_attr),
                       attr.kind,
                       {attr.name.data(), attr.name.size()},
                       attr.i,
                       0,
                       {attr.s.data(), attr.s.size()},
                       attr.kind == KILN_ATTR_INTS ? attr.ints.size() : attr.extents.size(),
                       attr.ints.data(),
                       extentsOf(attr.extents)});
    attrStore.push_back(std::move(attrs));
    builtOps.push_back({{op.name.data(), op.name.size()},
                        op.operands.size(),
                        op.operands.data(),
                        op.results.size(),
                        op.results.data(),
                        attrStore.back().size(),
                        attrStore.back().data(),
                        {}});
  }
  built = {{name.data(), name.size()},
           shape,
           builtTypes.size(),
           builtTypes.data(),
           inputs.size(),
           inputs.data(),
           outputs.size(),
           outputs.data(),
           builtOps.size(),
           builtOps.data(),
           extentBounds.size(),
           extentBounds.data(),
           alias.data()};
  return built;
}

} // namespace kiln::test
