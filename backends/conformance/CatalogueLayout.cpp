// Sources and ops that move elements.
#include "backends/conformance/Shapes.h"

#include "backends/sdk/Graph.h"

#include <cstring>

namespace kiln::conformance {

namespace {

using Shape = std::vector<int64_t>;

struct Maker {
  std::vector<Case> &cases;
  kiln_dtype dtype;
  size_t rank;
  bool dynamic;

  Case start(const char *op, const std::string &detail = {}) {
    Case made{op, variantOf(rank, dynamic) + detail, dtype, std::make_shared<Kernel>("elementwise"), {}, {}, {}};
    dims = dimsOf(*made.kernel, rank, dynamic, made.launches);
    return made;
  }
  uint32_t operand(Case &made, kiln_dtype type, Dims of, Operand fill = {Fill::Special}) {
    made.operands.push_back(fill);
    return made.kernel->input(type, std::move(of));
  }
  kiln_extent from(Case &made, const std::function<int64_t(const Shape &)> &f) {
    return derived(*made.kernel, rank, dynamic, made.launches, f);
  }
  void finish(Case &made, uint32_t result) {
    made.kernel->output(result);
    cases.push_back(std::move(made));
  }
  Dims dims;

  void reshape() {
    Case made = start("reshape");
    uint32_t x = operand(made, dtype, dims);
    Dims flat = {from(made, [](const Shape &s) { return elements(s); })};
    finish(made, made.kernel->op("reshape", {x}, dtype, flat));
  }

  void transpose(bool reversed) {
    Case made = start("transpose", reversed ? ", reversed" : ", rotated");
    uint32_t x = operand(made, dtype, dims);
    std::vector<int64_t> permutation;
    Dims to;
    for (size_t d = 0; d < rank; ++d) {
      permutation.push_back(static_cast<int64_t>(reversed ? rank - 1 - d : (d + 1) % rank));
      to.push_back(dims[static_cast<size_t>(permutation.back())]);
    }
    finish(made, made.kernel->op("transpose", {x}, dtype, to, {Attribute::list("permutation", permutation)}));
  }

  /// A new axis at `place`; the operand's first axis has extent 1.
  void broadcast(size_t place) {
    Case made = start("broadcast", ", new axis " + std::to_string(place));
    Dims of = dims;
    of.erase(of.begin() + static_cast<int64_t>(place));
    if (!of.empty())
      of[0] = fixed(1);
    std::vector<int64_t> axes;
    for (size_t d = 0; d < rank; ++d)
      if (d != place)
        axes.push_back(static_cast<int64_t>(d));
    uint32_t x = operand(made, dtype, of);
    finish(made, made.kernel->op("broadcast", {x}, dtype, dims, {Attribute::axes(axes)}));
  }

  void slice(int64_t stride) {
    Case made = start("slice", ", stride " + std::to_string(stride));
    uint32_t x = operand(made, dtype, dims);
    Dims to, starts(rank, fixed(1));
    for (size_t d = 0; d < rank; ++d)
      to.push_back(from(made, [=](const Shape &s) { return s[d] ? (s[d] - 1 + stride - 1) / stride : 0; }));
    finish(made, made.kernel->op("slice", {x}, dtype, to,
                                 {Attribute::dims("starts", starts),
                                  Attribute::list("strides", std::vector<int64_t>(rank, stride))}));
  }

  void pad(int64_t interior) {
    Case made = start("pad", ", interior " + std::to_string(interior));
    uint32_t x = operand(made, dtype, dims), value = operand(made, dtype, {});
    Dims to;
    for (size_t d = 0; d < rank; ++d)
      to.push_back(from(made, [=](const Shape &s) { return 3 + s[d] + std::max<int64_t>(s[d] - 1, 0) * interior; }));
    finish(made,
           made.kernel->op("pad", {x, value}, dtype, to,
                           {Attribute::dims("low", Dims(rank, fixed(1))), Attribute::dims("high", Dims(rank, fixed(2))),
                            Attribute::list("interior", std::vector<int64_t>(rank, interior))}));
  }

  void concat(size_t axis) {
    Case made = start("concat", ", axis " + std::to_string(axis));
    Dims other = dims, to = dims;
    other[axis] = fixed(3);
    to[axis] = from(made, [=](const Shape &s) { return 2 * s[axis] + 3; });
    uint32_t x = operand(made, dtype, dims), y = operand(made, dtype, other), z = operand(made, dtype, dims);
    finish(made,
           made.kernel->op("concat", {x, y, z}, dtype, to, {Attribute::number("axis", static_cast<int64_t>(axis))}));
  }

  void reverse() {
    Case made = start("reverse");
    uint32_t x = operand(made, dtype, dims);
    std::vector<int64_t> axes;
    for (size_t d = 0; d < rank; d += 2)
      axes.push_back(static_cast<int64_t>(d));
    finish(made, made.kernel->op("reverse", {x}, dtype, dims, {Attribute::axes(axes)}));
  }

  void dynamicSlice(bool update) {
    Case made = start(update ? "dynamic_update_slice" : "dynamic_slice");
    Dims block;
    for (size_t d = 0; d < rank; ++d)
      block.push_back(from(made, [=](const Shape &s) { return (s[d] + 1) / 2; }));
    std::vector<uint32_t> operands = {operand(made, dtype, dims)};
    if (update)
      operands.push_back(operand(made, dtype, block));
    for (size_t d = 0; d < rank; ++d) // beyond both ends: starts are clamped
      operands.push_back(operand(made, KILN_I32, {}, {Fill::Index, -2, 9}));
    uint32_t result = made.kernel->op(made.op, operands, dtype, update ? dims : block);
    finish(made, result);
  }

  /// Of draws a block from a computed place on, as a shard draws the numbers of its rows: draws of other dimensions
  /// than the kernel's.
  void drawnInPart() {
    Case made = start("fused: drawn in part");
    Kernel &k = *made.kernel;
    Dims block;
    for (size_t d = 0; d < rank; ++d)
      block.push_back(from(made, [=](const Shape &s) { return (s[d] + 1) / 2; }));
    uint32_t y = operand(made, KILN_U32, block), seed = operand(made, KILN_U32, {}, {Fill::Index, 0, 4294967295.0});
    std::vector<uint32_t> operands = {
        k.op("random_bits", {seed}, KILN_U32, dims, {Attribute::number("stream", 1048577)})};
    for (size_t d = 0; d < rank; ++d)
      operands.push_back(operand(made, KILN_I32, {}, {Fill::Index, -2, 9}));
    finish(made, k.op("add", {k.op("dynamic_slice", operands, KILN_U32, block), y}, KILN_U32, block));
  }

  void iota(size_t axis) {
    Case made = start("iota", ", axis " + std::to_string(axis));
    finish(made, made.kernel->op("iota", {}, dtype, dims, {Attribute::number("axis", static_cast<int64_t>(axis))}));
  }

  void constant(bool splat) {
    Case made = start("constant", splat ? ", splat" : ", dense");
    int64_t count = splat ? 1 : elements(edgeShapes(rank)[0]);
    std::string bytes;
    for (int64_t i = 0; i < count * sdk::byteSize(dtype); ++i) // bits that are a number in every dtype
      bytes += static_cast<char>(dtype == KILN_BOOL ? i % 2 : (i * 37 + 1) % 61);
    finish(made, made.kernel->op("constant", {}, dtype, dims, {Attribute::bytes("value", bytes)}));
  }
};

void sources(std::vector<Case> &cases) {
  for (kiln_dtype dtype : numberDtypes) {
    Case made{"extent", "scalar", dtype, std::make_shared<Kernel>("elementwise"), {}, {}, {}};
    kiln_extent extent = made.kernel->extent(1000);
    made.kernel->output(made.kernel->op("extent", {}, dtype, {}, {Attribute::dims("expr", {extent})}));
    made.launches = {{{1000}}, {{0}}, {{1}}, {{77}}};
    made.accuracy.ulps = 0.5;
    cases.push_back(std::move(made));
  }
  for (int counters = 0; counters <= 3; ++counters)
    for (size_t rank : {0u, 1u, 2u, 3u}) {
      Case made{"random_bits",
                std::to_string(counters) + " counters, " + variantOf(rank, true),
                KILN_U32,
                std::make_shared<Kernel>("elementwise"),
                {},
                {},
                {}};
      Dims dims = dimsOf(*made.kernel, rank, true, made.launches);
      std::vector<uint32_t> operands = {made.kernel->input(KILN_U32, {})};
      made.operands = {{Fill::Index, 0, 4294967295.0}};
      for (int i = 0; i < counters; ++i) {
        operands.push_back(made.kernel->input(KILN_I32, {}));
        made.operands.push_back({Fill::Index, 0, 1000000});
      }
      made.kernel->output(
          made.kernel->op("random_bits", operands, KILN_U32, dims, {Attribute::number("stream", 1048577 + counters)}));
      cases.push_back(std::move(made));
    }
}

} // namespace

void layoutCases(std::vector<Case> &cases) {
  sources(cases);
  for (size_t rank = 0; rank <= 6; ++rank)
    for (bool dynamic : {true, false})
      for (kiln_dtype dtype : allDtypes) {
        Maker make{cases, dtype, rank, dynamic, {}};
        make.reshape();
        make.constant(true);
        if (!dynamic)
          make.constant(false);
        if (rank == 0)
          continue;
        for (int which : {0, 1})
          make.transpose(which);
        make.broadcast(0);
        make.broadcast(rank - 1);
        for (int64_t stride : {1, 3})
          make.slice(stride);
        for (int64_t interior : {0, 2})
          make.pad(interior);
        make.concat(0);
        make.concat(rank - 1);
        make.reverse();
        make.dynamicSlice(false);
        make.dynamicSlice(true);
        if (dtype == KILN_U32)
          make.drawnInPart();
        if (dtype != KILN_BOOL)
          make.iota(rank / 2);
      }
}

} // namespace kiln::conformance
