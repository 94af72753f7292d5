// Kernels of several ops, as fusion makes them (docs/fusion.md): chains, rows, columns, products with their
// surroundings.
#include "backends/conformance/Shapes.h"

#include "backends/sdk/Graph.h"

namespace kiln::conformance {

namespace {

Case start(const char *op, kiln_dtype dtype, const char *kind, bool dynamic) {
  return {op, dynamic ? "dynamic" : "constant", dtype, std::make_shared<Kernel>(kind), {}, {}, {}};
}

/// The last axis's softmax, its sums and maxima within the kernel.
void softmax(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: softmax", dtype, "rows", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 2, dynamic, made.launches);
  std::erase_if(made.launches, [](const Launch &l) { return !l.extents.empty() && l.extents[1] == 0; });
  uint32_t x = k.input(dtype, d);
  made.operands = {{Fill::Range, -8, 8}};
  uint32_t top = k.op("reduce", {x}, dtype, {d[0]}, {Attribute::text("kind", "max"), Attribute::axes({1})});
  uint32_t wide = k.op("broadcast", {top}, dtype, d, {Attribute::axes({0})});
  uint32_t e = k.op("exp", {k.op("sub", {x, wide}, dtype, d)}, dtype, d);
  uint32_t sum = k.op("reduce", {e}, dtype, {d[0]}, {Attribute::text("kind", "sum"), Attribute::axes({1})});
  uint32_t spread = k.op("broadcast", {sum}, dtype, d, {Attribute::axes({0})});
  k.output(k.op("div", {e, spread}, dtype, d), 0);
  made.accuracy = {64, false, 0};
  addInPlace(made);
  cases.push_back(std::move(made));
}

/// What stands around a product.
struct Around {
  const char *name;
  bool transposed, bias, residual, relu;
};

/// x W, of transposed operands where asked for (xᵀ and Wᵀ lie in memory), and what follows it: a product with an
/// epilogue.
void linear(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic, const Around &around) {
  Case made = start(around.name, dtype, "contract", dynamic);
  Kernel &k = *made.kernel;
  Dims d = {fixed(33), fixed(65), fixed(47)};
  if (dynamic)
    d = {k.extent(33), k.extent(65), k.extent(47)};
  made.launches = dynamic ? std::vector<Launch>{{{33, 65, 47}}, {{1, 1, 1}}, {{0, 5, 5}}, {{7, 64, 33}}}
                          : std::vector<Launch>{{{}}};
  if (dynamic)
    addEdgeExtents(made.launches, 3);
  bool turned = around.transposed;
  uint32_t x = k.input(dtype, turned ? Dims{d[1], d[0]} : Dims{d[0], d[1]}),
           w = k.input(dtype, turned ? Dims{d[2], d[1]} : Dims{d[1], d[2]}), b = 0, r = 0;
  Dims out = {d[0], d[2]};
  if (around.bias)
    b = k.input(dtype, {d[2]});
  if (around.residual)
    r = k.input(dtype, out);
  made.operands.resize(k.inputs().size());
  uint32_t value =
      k.op("dot_general", {x, w}, dtype, out,
           {Attribute::list("lhs_batch", {}), Attribute::list("rhs_batch", {}),
            Attribute::list("lhs_contract", {turned ? 0 : 1}), Attribute::list("rhs_contract", {turned ? 1 : 0})});
  if (around.bias)
    value = k.op("add", {value, k.op("broadcast", {b}, dtype, out, {Attribute::axes({1})})}, dtype, out);
  if (around.residual)
    value = k.op("add", {value, r}, dtype, out);
  if (around.relu)
    value =
        k.op("max",
             {value, k.op("constant", {}, dtype, out,
                          {Attribute::bytes("value", std::string(static_cast<size_t>(sdk::byteSize(dtype)), '\0'))})},
             dtype, out);
  k.output(value);
  made.accuracy = {2, true, 66};
  cases.push_back(std::move(made));
}

constexpr Around surroundings[] = {
    {"fused: linear and relu", false, true, false, true},
    {"fused: product and bias", false, true, false, false},
    {"fused: product, bias and residual", false, true, true, false},
    {"fused: transposed product and residual", true, false, true, false},
};

/// A value of each column added to every row.
void broadcastSum(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: sum with a broadcast", dtype, "elementwise", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 2, dynamic, made.launches);
  uint32_t x = k.input(dtype, d), b = k.input(dtype, {d[1]});
  made.operands = {{}, {}};
  k.output(k.op("add", {x, k.op("broadcast", {b}, dtype, d, {Attribute::axes({1})})}, dtype, d), 0);
  made.accuracy = {0.5, false, 0};
  addInPlace(made);
  cases.push_back(std::move(made));
}

/// A long chain of elementwise ops in one sweep, with a second output: as an optimizer's update.
void sweep(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: optimizer sweep", dtype, "elementwise", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 1, dynamic, made.launches);
  uint32_t p = k.input(dtype, d), g = k.input(dtype, d), m = k.input(dtype, d), rate = k.input(dtype, {});
  made.operands = {{Fill::Range, 1, 2}, {Fill::Range, 0, 1}, {Fill::Range, 0, 1}, {Fill::Range, 0.1, 0.2}};
  uint32_t wide = k.op("broadcast", {rate}, dtype, d, {Attribute::axes({})});
  uint32_t moment = k.op("add", {k.op("mul", {m, wide}, dtype, d), g}, dtype, d);
  uint32_t next = k.op("add", {p, k.op("mul", {moment, wide}, dtype, d)}, dtype, d);
  k.output(next, 0);
  k.output(moment, 2);
  made.accuracy = {4, false, 0};
  addInPlace(made);
  cases.push_back(std::move(made));
}

/// Sums over the rows of a mask times a value: a column reduction with what is above it.
void columns(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: column sums", dtype, "columns", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 2, dynamic, made.launches);
  uint32_t x = k.input(dtype, d), y = k.input(dtype, d);
  made.operands = {{}, {}};
  uint32_t product = k.op("mul", {x, y}, dtype, d);
  k.output(k.op("reduce", {product}, dtype, {d[1]}, {Attribute::text("kind", "sum"), Attribute::axes({0})}));
  made.accuracy = {2, true, 300};
  cases.push_back(std::move(made));
}

/// x [b, t, w] under a mask [b, t, 1], summed over t and divided by how many there were: column reductions, one of them
/// over a last axis of 1, with work before and after them and three results.
void maskedMean(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: masked mean", dtype, "any", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 3, dynamic, made.launches), one = {d[0], d[1], fixed(1)}, left = {d[0], d[2]},
       count = {d[0], fixed(1)};
  uint32_t x = k.input(dtype, d), mask = k.input(dtype, one);
  made.operands = {{Fill::Range, 0.5, 2}, {Fill::Range, 1, 2}};
  auto sum = [&](uint32_t of, const Dims &to) {
    return k.op("reduce", {of}, dtype, to, {Attribute::text("kind", "sum"), Attribute::axes({1})});
  };
  uint32_t wide = k.op("broadcast", {mask}, dtype, d, {Attribute::axes({0, 1, 2})});
  uint32_t sums = sum(k.op("mul", {x, wide}, dtype, d), left), counts = sum(mask, count);
  uint32_t below = k.op("broadcast", {counts}, dtype, left, {Attribute::axes({0, 1})});
  uint32_t most = k.op("max", {below, k.op("mul", {below, below}, dtype, left)}, dtype, left);
  k.output(k.op("div", {sums, most}, dtype, left));
  k.output(sums);
  k.output(counts);
  std::erase_if(made.launches, [](const Launch &l) { return !l.extents.empty() && l.extents[1] == 0; });
  made.accuracy = {8, true, 64};
  cases.push_back(std::move(made));
}

/// Rows brought to a mean of 0, in the memory of what they were, with the means and the sums of squares beside them.
void centred(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: centred rows", dtype, "rows", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 2, dynamic, made.launches), row = {d[0]};
  uint32_t x = k.input(dtype, d), scale = k.input(dtype, {d[1]});
  made.operands = {{Fill::Range, 0.5, 2}, {Fill::Range, 0.5, 1}};
  auto sum = [&](uint32_t of) {
    return k.op("reduce", {of}, dtype, row, {Attribute::text("kind", "sum"), Attribute::axes({1})});
  };
  uint32_t first = sum(x);
  uint32_t wide = k.op("broadcast", {first}, dtype, d, {Attribute::axes({0})});
  uint32_t apart = k.op("add", {x, wide}, dtype, d);
  uint32_t second = sum(k.op("mul", {apart, apart}, dtype, d));
  uint32_t scales = k.op("broadcast", {scale}, dtype, d, {Attribute::axes({1})});
  k.output(k.op("mul", {apart, scales}, dtype, d), 0);
  k.output(first);
  k.output(second);
  made.accuracy = {64, true, 2000};
  addInPlace(made);
  cases.push_back(std::move(made));
}

/// A chain that is a result and whose column sums and maxima are others.
void chainAndColumns(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: chain and column sums", dtype, "any", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 2, dynamic, made.launches);
  uint32_t x = k.input(dtype, d), y = k.input(dtype, d);
  made.operands = {{Fill::Range, 0.5, 2}, {Fill::Range, 0.5, 2}};
  uint32_t product = k.op("mul", {x, y}, dtype, d);
  uint32_t sums = k.op("reduce", {product}, dtype, {d[1]}, {Attribute::text("kind", "sum"), Attribute::axes({0})});
  uint32_t most = k.op("reduce", {y}, dtype, {d[1]}, {Attribute::text("kind", "max"), Attribute::axes({0})});
  k.output(product, 0);
  k.output(sums);
  k.output(most);
  made.accuracy = {2, true, 300};
  addInPlace(made);
  cases.push_back(std::move(made));
}

/// A product of the operands' dtype that is stored, and read by an op of the kernel: narrow ones are one number for
/// both. All of it is exact but for that rounding.
void storedAndRead(std::vector<Case> &cases, kiln_dtype dtype, bool dynamic) {
  Case made = start("fused: stored and read", dtype, "elementwise", dynamic);
  Kernel &k = *made.kernel;
  Dims d = dimsOf(k, 1, dynamic, made.launches);
  uint32_t x = k.input(dtype, d), y = k.input(dtype, d);
  made.operands = {{Fill::Range, 0.5, 2}, {Fill::Range, 0.5, 2}};
  uint32_t product = k.op("mul", {x, y}, dtype, d);
  k.output(product);
  k.output(k.op("convert", {product}, KILN_F32, d));
  cases.push_back(std::move(made));
}

} // namespace

void fusedCases(std::vector<Case> &cases) {
  for (kiln_dtype dtype : floatDtypes)
    for (bool dynamic : {true, false}) {
      softmax(cases, dtype, dynamic);
      for (const Around &around : surroundings)
        linear(cases, dtype, dynamic, around);
      broadcastSum(cases, dtype, dynamic);
      sweep(cases, dtype, dynamic);
      if (sdk::byteSize(dtype) == 2)
        storedAndRead(cases, dtype, dynamic);
      columns(cases, dtype, dynamic);
      maskedMean(cases, dtype, dynamic);
      centred(cases, dtype, dynamic);
      chainAndColumns(cases, dtype, dynamic);
    }
}

} // namespace kiln::conformance
