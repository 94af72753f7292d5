// Products in register tiles: an item computes 12 rows of 16 columns. The operands are used where they lie when rows
// of the left one and rows of the right one are contiguous; else a launch before copies them so, which is also where
// what is fused above the product is computed.
#include "Compile.h"

#include <algorithm>
#include <numeric>

namespace kiln::opencl {
namespace {

using sdk::Expr;
using sdk::Index;
using Dims = std::vector<kiln_extent>;

constexpr int rows = 12, columns = 16;

struct Product {
  const sdk::Op *op = nullptr;
  Dims batch, m, n, k;
};

/// The kernel's one whole op, a dot_general of floats into f32, whose result meets elementwise ops alone.
bool findProduct(const sdk::Graph &graph, Product &out) {
  for (const sdk::Op &op : graph.ops)
    if (sdk::isWhole(op.code)) {
      if (out.op || op.code != sdk::OpCode::DotGeneral)
        return false;
      out.op = &op;
    }
  if (!out.op || graph.type(out.op->results[0]).dtype != KILN_F32 || !graph.fits32())
    return false;
  const Dims &dims = graph.type(out.op->results[0]).dims;
  for (uint32_t value : graph.outputs)
    if (!sdk::sameDims(graph.type(value).dims, dims))
      return false;
  std::set<uint32_t> after = {out.op->results[0]}; // what follows from it
  for (const sdk::Op &op : graph.ops)
    if (std::any_of(op.operands.begin(), op.operands.end(), [&](uint32_t v) { return after.count(v); })) {
      if (!sdk::isElementwise(op.code))
        return false;
      after.insert(op.results[0]);
    }
  const sdk::Type &lhs = graph.type(out.op->operands[0]);
  for (int64_t axis : out.op->ints("lhs_batch"))
    out.batch.push_back(lhs.dims[static_cast<size_t>(axis)]);
  for (int64_t axis : out.op->ints("lhs_contract"))
    out.k.push_back(lhs.dims[static_cast<size_t>(axis)]);
  size_t rhsFree = graph.type(out.op->operands[1]).rank() - out.batch.size() - out.k.size();
  out.m.assign(dims.begin() + long(out.batch.size()), dims.end() - long(rhsFree));
  out.n.assign(dims.end() - long(rhsFree), dims.end());
  return true;
}

Dims joined(std::initializer_list<Dims> parts) {
  Dims all;
  for (const Dims &part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// An f32 input whose axes stand in the order batch, first, second.
bool liesReady(const sdk::Graph &graph, uint32_t value, std::vector<int64_t> order) {
  return graph.inputNumber(value) >= 0 && graph.type(value).dtype == KILN_F32 &&
         std::is_sorted(order.begin(), order.end());
}

std::vector<int64_t> freeAxes(size_t rank, const std::vector<int64_t> &a, const std::vector<int64_t> &b) {
  std::vector<int64_t> result;
  for (int64_t axis = 0; axis < static_cast<int64_t>(rank); ++axis)
    if (std::find(a.begin(), a.end(), axis) == a.end() && std::find(b.begin(), b.end(), axis) == b.end())
      result.push_back(axis);
  return result;
}

struct Operand {
  uint32_t value, place;
  bool ready; // lies as it must
  std::vector<int64_t> order;
  Dims dims; // [batch, rows, columns]
};

/// Where an operand is read as f32 of [batch, rows, columns]: an input, or scratch that packing fills.
Operand operand(Build &out, const Product &product, int side) {
  const sdk::Graph &graph = out.graph;
  const sdk::Op &op = *product.op;
  Operand result = {op.operands[static_cast<size_t>(side)], 0, false, op.ints(side ? "rhs_batch" : "lhs_batch"), {}};
  std::vector<int64_t> contract = op.ints(side ? "rhs_contract" : "lhs_contract"),
                       free = freeAxes(graph.type(result.value).rank(), result.order, contract);
  for (const std::vector<int64_t> &axes : {side ? contract : free, side ? free : contract})
    result.order.insert(result.order.end(), axes.begin(), axes.end());
  result.dims = side ? joined({product.batch, product.k, product.n}) : joined({product.batch, product.m, product.k});
  result.ready = liesReady(graph, result.value, result.order);
  result.place = result.ready ? static_cast<uint32_t>(graph.inputNumber(result.value))
                              : out.addScratch(KILN_F32, graph.bound(result.dims) * 4);
  return result;
}

void pack(Build &out, const Operand &operand) {
  if (operand.ready)
    return;
  Arguments around;
  sdk::Emitter e(out.graph, around, out.options());
  Expr item = e.bind(e.indexType(), sdk::Emitter::outer("((int)item)"));
  Index at = e.unlinear(operand.dims, item), from(at.size());
  for (size_t d = 0; d < at.size(); ++d)
    from[static_cast<size_t>(operand.order[d])] = at[d];
  Expr element = e.element(operand.value, from);
  e.store(operand.place, KILN_F32, item, e.convert(element, out.graph.type(operand.value).dtype, KILN_F32));
  out.add(e, {"", 64, {{1, operand.dims}}});
}

/// c<r> += a[r][k] * b[k] over all k, the step that reads b given.
std::string innerLoop(const std::string &readB) {
  std::string text = "for (int k = 0; k < K; k++) {\n" + readB;
  for (int r = 0; r < rows; ++r)
    text +=
        "c" + std::to_string(r) + " = fma((float16)(a" + std::to_string(r) + "[k]), b, c" + std::to_string(r) + ");\n";
  return text + "}\n";
}

std::string tile(uint32_t a, uint32_t b) {
  std::string text = R"(const int M_tiles = (M + 11) / 12, N_tiles = (N + 15) / 16;
const int batch = (int)(item / (M_tiles * (long)N_tiles)), tile = (int)(item % (M_tiles * (long)N_tiles));
const int m_first = tile / N_tiles * 12, n_own = tile % N_tiles * 16;
// The last tile of a row reaches back, so that all of its columns are there; it stores its own only.
const int n_first = N >= 16 && n_own + 16 > N ? N - 16 : n_own;
)";
  text += "global const float *A = p" + std::to_string(a) + " + (long)batch * M * K, *B = p" + std::to_string(b) +
          " + (long)batch * K * N + n_first;\n";
  for (int r = 0; r < rows; ++r) {
    std::string n = std::to_string(r);
    text +=
        "float16 c" + n + " = 0.0f;\nglobal const float *a" + n + " = A + (long)min(m_first + " + n + ", M - 1) * K;\n";
  }
  text += "if (N >= 16) {\n" + innerLoop("const float16 b = vload16(0, B + (long)k * N);\n") + "} else {\n" +
          innerLoop("float lanes[16];\nfor (int l = 0; l < 16; l++)\n  lanes[l] = l < N ? B[(long)k * N + l] : 0.0f;\n"
                    "const float16 b = vload16(0, lanes);\n") +
          "}\nfloat c[192];\n";
  for (int r = 0; r < rows; ++r)
    text += "vstore16(c" + std::to_string(r) + ", " + std::to_string(r) + ", c);\n";
  return text;
}

} // namespace

bool buildProduct(Build &out) {
  const sdk::Graph &graph = out.graph;
  Product product;
  if (!findProduct(graph, product))
    return false;
  Operand a = operand(out, product, 0), b = operand(out, product, 1);
  pack(out, a);
  pack(out, b);
  Arguments around;
  sdk::Emitter e(graph, around, out.options());
  auto size = [&](const char *name, const Dims &dims) {
    e.line(std::string("const int ") + name + " = " + e.elements(dims).text + ";");
  };
  size("M", product.m);
  size("N", product.n);
  size("K", product.k);
  e.line(tile(a.place, b.place));
  e.open("for (int r = 0; r < 12 && m_first + r < M; r++)");
  e.open("for (int l = n_own - n_first; l < 16 && n_first + l < N; l++)");
  e.ordered();
  e.line("const float sum = c[r * 16 + l];\nconst int m = m_first + r, n = n_first + l;");
  e.define(product.op->results[0], [&](const Index &) { return e.name("sum"); });
  Index at = e.unlinear(product.batch, e.name("batch"));
  for (const Expr &index : e.unlinear(product.m, e.name("m")))
    at.push_back(index);
  for (const Expr &index : e.unlinear(product.n, e.name("n")))
    at.push_back(index);
  Expr linear = e.bind(e.indexType(), e.linear(graph.type(product.op->results[0]).dims, at));
  std::vector<Expr> values;
  for (uint32_t value : graph.outputs)
    values.push_back(e.element(value, at));
  for (size_t i = 0; i < values.size(); ++i)
    e.store(static_cast<uint32_t>(graph.inputs.size() + i), graph.type(graph.outputs[i]).dtype, linear, values[i]);
  out.add(e, {"", 1, {{1, product.batch}, {rows, product.m}, {columns, product.n}}});
  return true;
}

} // namespace kiln::opencl
