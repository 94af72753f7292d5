// Ops whose element takes many elements: serial loops.
#include "Emitter.h"
#include <algorithm>

namespace kiln::sdk {

Expr Emitter::whole(const Op &op, uint32_t value, const Index &at) {
  switch (op.code) {
  case OpCode::Reduce:
    return reduce(op, value, at);
  case OpCode::ArgReduce:
    return argReduce(op, value, at);
  case OpCode::CumSum:
    return runningSum(op, value, at);
  case OpCode::ReduceWindow:
    return window(op, value, at);
  case OpCode::ReduceWindowGrad:
    return windowGrad(op, value, at);
  case OpCode::DotGeneral:
    return dot(op, value, at);
  case OpCode::Convolution:
    return convolution(op, value, at);
  default:
    // canPrint() refuses these; a text that does not compile is better than one that computes something else.
    return {"kiln_no_element_form_of_" + op.name, 0, {}};
  }
}

//===-- Accumulation ----------------------------------------------------------------------------------------------===//

namespace {
// A sum of n floats in order errs by up to n roundings; of blocks, by the block's and the number of blocks'.
constexpr int64_t smallestBlock = 64, longAxis = 4 * smallestBlock;

int64_t blockOf(int64_t bound) {
  int64_t size = smallestBlock;
  while (size * size < bound && size < 1024)
    size *= 2;
  return size;
}
} // namespace

void Emitter::accumulateInto(const Expr &total, const Accumulation &sum, size_t axis, Index &at) {
  if (axis == sum.extents.size()) {
    Expr next = combine(sum.kind, total, sum.element(at), sum.dtype);
    line(total.text + " = " + next.text + ";");
    return;
  }
  bool rounds = isFloat(sum.dtype) && (sum.kind == "sum" || sum.kind == "add");
  bool last = axis + 1 == sum.extents.size(), blocks = rounds && last && sum.bounds[axis] > longAxis;
  auto inner = [&](auto body) { // a partial sum of its own
    Expr part = variable(registerType(sum.dtype), neutral(sum.kind, sum.dtype));
    body(part);
    line(total.text + " = " + combine(sum.kind, total, part, sum.dtype).text + ";");
  };
  if (blocks) {
    int64_t blockSize = blockOf(sum.bounds[axis]);
    Expr begin = loop(index(0), sum.extents[axis], index(blockSize), (sum.bounds[axis] + blockSize - 1) / blockSize);
    Expr end = bind(indexType(), inParentheses(begin.text + " + " + std::to_string(blockSize) + " < " +
                                                   sum.extents[axis].text + " ? " + begin.text + " + " +
                                                   std::to_string(blockSize) + " : " + sum.extents[axis].text,
                                               {begin, sum.extents[axis]}));
    inner([&](const Expr &part) {
      at[axis] = loop(begin, end, index(1), blockSize);
      accumulateInto(part, sum, axis + 1, at);
      close();
    });
    close();
    return;
  }
  int64_t within = 1; // how many are added for one index of this axis
  for (size_t d = axis + 1; d < sum.bounds.size(); ++d)
    within = std::min<int64_t>(within * std::max<int64_t>(sum.bounds[d], 1), longAxis);
  at[axis] = loop(index(0), sum.extents[axis], index(1), sum.bounds[axis]);
  if (rounds && within >= smallestBlock / 2)
    inner([&](const Expr &part) { accumulateInto(part, sum, axis + 1, at); });
  else
    accumulateInto(total, sum, axis + 1, at);
  close();
}

Expr Emitter::accumulate(const Index &at, const Accumulation &sum) {
  return within(floorLevel(at), [&] {
    Expr total = variable(registerType(sum.dtype), neutral(sum.kind, sum.dtype));
    Index inner(sum.extents.size());
    accumulateInto(total, sum, 0, inner);
    return settled(total);
  });
}

void Emitter::addAxis(Accumulation &sum, const kiln_extent &extent) {
  sum.extents.push_back(this->extent(extent));
  sum.bounds.push_back(graph.bound(extent));
}

//===-- Reductions ------------------------------------------------------------------------------------------------===//

Expr Emitter::reduce(const Op &op, uint32_t value, const Index &at) {
  const Type &operand = graph.type(op.operands[0]);
  const std::vector<int64_t> &axes = op.ints("axes");
  Accumulation sum{accumulator(graph.type(value).dtype), std::string(op.text("kind")), {}, {}, {}};
  for (int64_t axis : axes)
    addAxis(sum, operand.dims[static_cast<size_t>(axis)]);
  sum.element = [&](const Index &in) {
    Index from;
    size_t kept = 0;
    for (size_t d = 0; d < operand.rank(); ++d) {
      auto found = std::find(axes.begin(), axes.end(), static_cast<int64_t>(d));
      from.push_back(found == axes.end() ? at[kept++] : in[static_cast<size_t>(found - axes.begin())]);
    }
    return element(op.operands[0], from);
  };
  return accumulate(at, sum);
}

/// A comparison that NaN wins, and after it the first.
std::string Emitter::beats(const Expr &a, const Expr &champion, bool larger, kiln_dtype dtype) {
  std::string text = a.text + (larger ? " > " : " < ") + champion.text;
  if (!isFloat(dtype))
    return text;
  return "!" + isNaN(champion, dtype) + " && (" + isNaN(a, dtype) + " || " + text + ")";
}

Expr Emitter::argReduce(const Op &op, uint32_t value, const Index &at) {
  const Type &operand = graph.type(op.operands[0]);
  size_t axis = static_cast<size_t>(op.integer("axis"));
  return within(floorLevel(at), [&] {
    auto read = [&](const Expr &i) {
      Index from = at;
      from.insert(from.begin() + long(axis), i);
      return element(op.operands[0], from);
    };
    // Numbers are compared as they are, bools as numbers.
    kiln_dtype dtype = operand.dtype == KILN_BOOL ? KILN_I32 : operand.dtype;
    auto number = [&](const Expr &x) { return convert(x, operand.dtype, dtype); };
    Expr best = variable(indexType(), index(0)), champion = variable(registerType(dtype), literal(dtype, 0, 0));
    Expr i = loop(extent(operand.dims[axis]));
    Expr x = number(read(i));
    open("if (" + i.text + " == 0 || (" + beats(x, champion, op.text("kind") == "max", dtype) + "))");
    line(best.text + " = " + i.text + ";");
    line(champion.text + " = " + x.text + ";");
    close();
    close();
    return convert(settled(best), options.wideIndex ? KILN_I64 : KILN_I32, graph.type(value).dtype);
  });
}

Expr Emitter::runningSum(const Op &op, uint32_t value, const Index &at) {
  const Type &operand = graph.type(op.operands[0]);
  size_t axis = static_cast<size_t>(op.integer("axis"));
  bool reverse = op.integer("reverse"), exclusive = op.integer("exclusive");
  // The elements up to this one, in the order of a running sum.
  Expr size = extent(operand.dims[axis]);
  Expr place = reverse ? sub(sub(size, index(1)), at[axis]) : at[axis];
  Accumulation sum{accumulator(graph.type(value).dtype), "sum", {}, {}, {}};
  sum.extents.push_back(bind(indexType(), exclusive ? place : add(place, index(1))));
  sum.bounds.push_back(graph.bound(operand.dims[axis]));
  sum.element = [&](const Index &in) {
    Index from = at;
    from[axis] = reverse ? sub(sub(size, index(1)), in[0]) : in[0];
    return element(op.operands[0], from);
  };
  return accumulate(at, sum);
}

//===-- Windows ---------------------------------------------------------------------------------------------------===//

/// Where window place `at`, element `in`, lies in the operand; the condition that it does. Empty: always.
std::string Emitter::windowPlace(const Op &op, const Index &at, const Index &in, Index &from) {
  const Type &operand = graph.type(op.operands[0]);
  std::string inside;
  for (size_t d = 0; d < at.size(); ++d) {
    int64_t low = op.ints("low")[d], high = op.ints("high")[d];
    Expr place = sub(add(mul(at[d], index(op.ints("strides")[d])), in[d]), index(low));
    if (low != 0 || high != 0) {
      place = bind(indexType(), place);
      inside +=
          (inside.empty() ? "" : " && ") + place.text + " >= 0 && " + place.text + " < " + extent(operand.dims[d]).text;
    }
    from.push_back(place);
  }
  return inside;
}

Expr Emitter::window(const Op &op, uint32_t value, const Index &at) {
  kiln_dtype dtype = graph.type(value).dtype;
  Accumulation sum{accumulator(dtype), std::string(op.text("kind")), {}, {}, {}};
  for (int64_t size : op.ints("window"))
    addAxis(sum, {size, -1});
  sum.element = [&](const Index &in) {
    Index from;
    std::string inside = windowPlace(op, at, in, from);
    if (inside.empty())
      return element(op.operands[0], from);
    return either(
        dtype, in, {"(" + inside + ")", level(), {}}, [&] { return element(op.operands[0], from); },
        [&] { return neutral(sum.kind, dtype); });
  };
  return accumulate(at, sum);
}

/// An element of the operand gets the gradient of each window whose champion it is.
Expr Emitter::windowGrad(const Op &op, uint32_t value, const Index &at) {
  const Type &operand = graph.type(op.operands[0]), &windows = graph.type(op.operands[1]);
  kiln_dtype dtype = accumulator(graph.type(value).dtype);
  bool larger = op.text("kind") == "max";
  size_t rank = at.size();
  const std::vector<int64_t> &sizes = op.ints("window"), &strides = op.ints("strides"), &low = op.ints("low");
  return within(floorLevel(at), [&] {
    Expr total = variable(registerType(dtype), literal(dtype, 0, 0));
    Index which;
    for (size_t d = 0; d < rank; ++d) { // windows that hold the element: first to last
      Expr place = bind(indexType(), add(at[d], index(low[d])));
      Expr size = index(sizes[d]), stride = index(strides[d]), count = extent(windows.dims[d]);
      Expr first = bind(indexType(), inParentheses(place.text + " < " + size.text + " ? 0 : (" + place.text + " - " +
                                                       size.text + ") / " + stride.text + " + 1",
                                                   {place}));
      Expr last = bind(indexType(), add(div(place, stride), index(1)));
      Expr end =
          bind(indexType(),
               inParentheses(last.text + " < " + count.text + " ? " + last.text + " : " + count.text, {last, count}));
      which.push_back(loop(first, end, index(1), sizes[d] / strides[d] + 1));
    }
    Expr found = variable(registerType(KILN_BOOL), {"false", 0, {}}),
         mine = variable(registerType(KILN_BOOL), {"false", 0, {}});
    Expr champion = variable(registerType(operand.dtype), literal(operand.dtype, 0, 0));
    Index in, from;
    for (size_t d = 0; d < rank; ++d)
      in.push_back(loop(index(sizes[d])));
    std::string inside = windowPlace(op, which, in, from);
    open("if (" + (inside.empty() ? "true" : inside) + ")", /*guard=*/true);
    Expr x = element(op.operands[0], from);
    open("if (!" + found.text + " || (" + beats(x, champion, larger, operand.dtype) + "))");
    std::string here;
    for (size_t d = 0; d < rank; ++d)
      here += (d ? " && " : "") + from[d].text + " == " + at[d].text;
    line(found.text + " = true;");
    line(champion.text + " = " + x.text + ";");
    line(mine.text + " = " + (here.empty() ? "true" : here) + ";");
    close();
    close();
    for (size_t d = 0; d < rank; ++d)
      close();
    open("if (" + mine.text + ")", /*guard=*/true);
    line(total.text + " = " + combine("sum", total, element(op.operands[1], which), dtype).text + ";");
    close();
    for (size_t d = 0; d < rank; ++d)
      close();
    return settled(total);
  });
}

//===-- Products --------------------------------------------------------------------------------------------------===//

Emitter::DotAxes Emitter::dotIndices(const Op &op, const Index &result, const Index &contracted) {
  const std::vector<int64_t> &lb = op.ints("lhs_batch"), &rb = op.ints("rhs_batch"), &lc = op.ints("lhs_contract"),
                             &rc = op.ints("rhs_contract");
  DotAxes axes{Index(graph.type(op.operands[0]).rank()), Index(graph.type(op.operands[1]).rank())};
  auto place = [](const std::vector<int64_t> &list, size_t axis) {
    return static_cast<size_t>(std::find(list.begin(), list.end(), static_cast<int64_t>(axis)) - list.begin());
  };
  size_t next = lb.size();
  for (size_t d = 0; d < axes.lhs.size(); ++d) {
    size_t b = place(lb, d), c = place(lc, d);
    axes.lhs[d] = b < lb.size() ? result[b] : c < lc.size() ? contracted[c] : result[next++];
  }
  for (size_t d = 0; d < axes.rhs.size(); ++d) {
    size_t b = place(rb, d), c = place(rc, d);
    axes.rhs[d] = b < rb.size() ? result[b] : c < rc.size() ? contracted[c] : result[next++];
  }
  return axes;
}

Expr Emitter::product(const Expr &a, const Expr &b, kiln_dtype operands, kiln_dtype result) {
  return binary(OpCode::Mul, convert(a, accumulator(operands), result), convert(b, accumulator(operands), result),
                result);
}

Expr Emitter::dot(const Op &op, uint32_t value, const Index &at) {
  const Type &lhs = graph.type(op.operands[0]);
  Accumulation sum{accumulator(graph.type(value).dtype), "sum", {}, {}, {}};
  for (int64_t axis : op.ints("lhs_contract"))
    addAxis(sum, lhs.dims[static_cast<size_t>(axis)]);
  sum.element = [&](const Index &in) {
    DotAxes axes = dotIndices(op, at, in);
    return product(element(op.operands[0], axes.lhs), element(op.operands[1], axes.rhs), lhs.dtype, sum.dtype);
  };
  return accumulate(at, sum);
}

Expr Emitter::convolution(const Op &op, uint32_t value, const Index &at) {
  const Type &input = graph.type(op.operands[0]), &filter = graph.type(op.operands[1]), &result = graph.type(value);
  Accumulation sum{accumulator(result.dtype), "sum", {}, {}, {}};
  for (size_t d = 1; d < filter.rank(); ++d)
    addAxis(sum, filter.dims[d]);
  int64_t groups = op.integer("groups", 1);
  sum.element = [&](const Index &in) {
    Expr perGroup = div(extent(result.dims[1]), index(groups));
    Expr group = groups == 1 ? index(0) : div(at[1], perGroup);
    Index from{at[0], add(mul(group, extent(filter.dims[1])), in[0])}, tap{at[1], in[0]};
    std::string inside;
    for (size_t d = 0; d + 2 < at.size(); ++d) {
      tap.push_back(in[d + 1]);
      int64_t low = op.ints("low")[d], dilation = op.ints("input_dilation")[d];
      Expr place =
          sub(add(mul(at[d + 2], index(op.ints("strides")[d])), mul(in[d + 1], index(op.ints("filter_dilation")[d]))),
              index(low));
      bool free = low == 0 && op.ints("high")[d] <= 0 && dilation == 1;
      if (!free) {
        place = bind(indexType(), place);
        inside += (inside.empty() ? "" : " && ") + place.text + " >= 0";
        if (dilation != 1)
          inside += " && " + mod(place, index(dilation)).text + " == 0";
        Expr whole = div(place, index(dilation));
        inside += " && " + whole.text + " < " + extent(input.dims[d + 2]).text;
        place = whole;
      }
      from.push_back(place);
    }
    auto term = [&] {
      return product(element(op.operands[0], from), element(op.operands[1], tap), input.dtype, sum.dtype);
    };
    if (inside.empty())
      return term();
    return either(sum.dtype, in, {"(" + inside + ")", level(), {}}, term, [&] { return literal(sum.dtype, 0, 0); });
  };
  return accumulate(at, sum);
}

} // namespace kiln::sdk
