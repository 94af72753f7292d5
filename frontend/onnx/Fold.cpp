// What is computed when the model is read: small integers, the arithmetic of shapes above all, with dimensions as
// names.
#include "frontend/onnx/Folding.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

namespace kiln::onnx {

double numberOf(const Element &element) {
  std::optional<double> number = element.constant();
  if (!number)
    throw Unknown();
  return *number;
}

int64_t wholeOf(const Element &element) {
  std::optional<int64_t> number = element.isDim ? element.dim.constant() : std::nullopt;
  if (!number)
    throw Unknown();
  return *number;
}

/// A float rounded to the dtype; whole numbers that stay exact may be symbolic.
static Element rounded(double number, kiln_dtype dtype) {
  if (dtype == KILN_F64)
    return number;
  if (dtype == KILN_F32)
    return static_cast<double>(static_cast<float>(number));
  uint8_t bytes[8] = {};
  storeNumber(dtype, bytes, 0, number);
  return loadNumber(dtype, bytes, 0);
}

static std::optional<int64_t> count(const std::vector<Dim> &shape) { return product(shape).constant(); }

std::vector<int64_t> numbers(const std::vector<Dim> &shape) {
  std::vector<int64_t> out;
  for (const Dim &dim : shape) {
    if (!dim.constant())
      throw Unknown();
    out.push_back(*dim.constant());
  }
  return out;
}

std::vector<int64_t> strides(const std::vector<int64_t> &shape) {
  std::vector<int64_t> out(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    out[i - 1] = out[i] * shape[i];
  return out;
}

int64_t linear(const std::vector<int64_t> &at, const std::vector<int64_t> &strides) {
  int64_t out = 0;
  for (size_t i = 0; i < at.size(); ++i)
    out += at[i] * strides[i];
  return out;
}

int64_t broadcastAt(const std::vector<int64_t> &at, const std::vector<int64_t> &shape) {
  std::vector<int64_t> steps = strides(shape);
  int64_t out = 0;
  size_t offset = at.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    out += shape[i] == 1 ? 0 : at[offset + i] * steps[i];
  return out;
}

//===-- One element ----------------------------------------------------------------------------------------------===//

/// A float as a dimension over a whole number: of a number only where it is one exactly, as 1.5 is.
static std::optional<std::pair<Dim, int64_t>> asRatio(const Element &element) {
  if (element.isDim || element.divisor > 1)
    return std::pair(element.dim, element.divisor);
  for (int64_t divisor = 1; divisor <= 1024; divisor *= 2)
    if (double whole = element.number * static_cast<double>(divisor);
        std::abs(whole) < 1e9 && whole == std::floor(whole))
      return std::pair(Dim(static_cast<int64_t>(whole)), divisor);
  return std::nullopt;
}

/// Sums, products and quotients of floats in which a dimension is open, f32 ones as exporters compute sizes in.
static std::optional<Element> ofRatios(Known &k, const std::string &op, const Element &a, const Element &b) {
  auto x = asRatio(a), y = asRatio(b);
  if (!x || !y || k.in[0]->dtype != KILN_F32 || (a.constant() && b.constant()))
    return std::nullopt;
  auto [p, q] = *x;
  auto [r, s] = *y;
  if (op == "Div") { // by a number above 0
    std::optional<int64_t> number = r.constant();
    if (!number || *number < 1)
      return std::nullopt;
    r = Dim(s), s = *number;
  }
  if (q * s > (1 << 20))
    return std::nullopt;
  if (op == "Mul" || op == "Div")
    return Element::ratio(p * r, q * s);
  if (op == "Add" || op == "Sub")
    return Element::ratio(op == "Add" ? p * Dim(s) + r * Dim(q) : p * Dim(s) - r * Dim(q), q * s);
  return std::nullopt;
}

static Element quotient(Known &k, const Element &a, const Element &b) {
  if (k.isFloating()) {
    if (a.isDim && b.isDim)
      if (std::optional<Dim> exact = b.dim == Dim(0) ? std::nullopt : a.dim.exactDiv(b.dim))
        return *exact;
    if (std::optional<Element> ratio = ofRatios(k, "Div", a, b))
      return *ratio;
    return rounded(numberOf(a) / numberOf(b), k.in[0]->dtype);
  }
  if (a.dim.constant() && b.dim.constant()) {
    if (*b.dim.constant() == 0)
      refuse("it divides by 0");
    return Dim(*a.dim.constant() / *b.dim.constant());
  }
  if (b.dim != Dim(0))
    if (std::optional<Dim> exact = a.dim.exactDiv(b.dim))
      return *exact;
  // Rounded towards zero, which is down where nothing is negative.
  std::optional<int64_t> divisor = b.dim.constant();
  if (divisor && *divisor > 0 && k.call.importer.isNonNegative(a.dim))
    return a.dim.floordiv(*divisor);
  throw Unknown();
}

/// An integer that its dtype has; what wraps around is computed by the program.
static Element inRange(Element element, kiln_dtype dtype) {
  std::optional<int64_t> number = element.isDim && !isFloat(dtype) ? element.dim.constant() : std::nullopt;
  if (!number)
    return element;
  int64_t bits = static_cast<int64_t>(dtypeSize(dtype)) * 8 - 1;
  bool isUnsigned = dtype == KILN_U8 || dtype == KILN_U32;
  int64_t most = dtype == KILN_I64 ? INT64_MAX : (int64_t{1} << (isUnsigned ? bits + 1 : bits)) - 1;
  if (*number > most || *number < (isUnsigned ? 0 : -most - 1))
    throw Unknown();
  return element;
}

static Element arithmetic(Known &k, const std::string &op, const Element &a, const Element &b) {
  kiln_dtype dtype = k.in[0]->dtype;
  bool whole = a.isDim && b.isDim;
  if (op == "Div")
    return quotient(k, a, b);
  if (whole && op == "Add")
    return a.dim + b.dim;
  if (whole && op == "Sub")
    return a.dim - b.dim;
  if (whole && op == "Mul")
    return a.dim * b.dim;
  if (whole && (op == "Max" || op == "Min")) {
    if (std::optional<bool> less = k.call.importer.lessOrEqual(a.dim, b.dim))
      return *less == (op == "Max") ? b : a;
    return op == "Max" ? max(a.dim, b.dim) : a.dim + b.dim - max(a.dim, b.dim);
  }
  if (op == "Mod" && !k.isFloating()) {
    std::optional<int64_t> n = b.dim.constant();
    if (!n || *n <= 0 || k.call.integer("fmod", 0) != 0)
      throw Unknown();
    return a.dim - a.dim.floordiv(*n) * Dim(*n);
  }
  if (std::optional<Element> ratio = ofRatios(k, op, a, b))
    return *ratio;
  double x = numberOf(a), y = numberOf(b);
  double out = op == "Add"   ? x + y
               : op == "Sub" ? x - y
               : op == "Mul" ? x * y
               : op == "Max" ? std::max(x, y)
               : op == "Min" ? std::min(x, y)
               : op == "Pow" ? std::pow(x, y)
                             : throw Unknown();
  if (isFloat(dtype))
    return rounded(out, dtype);
  if (std::abs(out) > 9e15)
    throw Unknown();
  return Dim(static_cast<int64_t>(out));
}

static Element compared(Known &k, const std::string &op, const Element &a, const Element &b) {
  auto truth = [](bool value) { return Element(Dim(value ? 1 : 0)); };
  if (!a.isDim || !b.isDim) {
    double x = numberOf(a), y = numberOf(b);
    return truth(op == "Equal"         ? x == y
                 : op == "Less"        ? x < y
                 : op == "LessOrEqual" ? x <= y
                 : op == "Greater"     ? x > y
                                       : x >= y);
  }
  Importer &importer = k.call.importer;
  auto known = [&](std::optional<bool> value) {
    if (!value)
      throw Unknown();
    return *value;
  };
  if (op == "Equal") {
    if (a.dim == b.dim || importer.isEqual(a.dim - b.dim, 0))
      return truth(true);
    if (importer.isNonNegative(a.dim - b.dim - Dim(1)) || importer.isNonNegative(b.dim - a.dim - Dim(1)))
      return truth(false);
    throw Unknown();
  }
  if (op == "LessOrEqual")
    return truth(known(importer.lessOrEqual(a.dim, b.dim)));
  if (op == "GreaterOrEqual")
    return truth(known(importer.lessOrEqual(b.dim, a.dim)));
  if (op == "Less")
    return truth(!known(importer.lessOrEqual(b.dim, a.dim)));
  return truth(!known(importer.lessOrEqual(a.dim, b.dim)));
}

static Element single(Known &k, const std::string &op, const Element &x) {
  kiln_dtype dtype = k.in[0]->dtype;
  if (x.divisor > 1) // rounded, and exact in f32 for dimensions of up to 2^23
    return op == "Floor"  ? Element(x.dim.floordiv(x.divisor))
           : op == "Ceil" ? Element((x.dim + Dim(x.divisor - 1)).floordiv(x.divisor))
           : op == "Neg"  ? Element::ratio(Dim(0) - x.dim, x.divisor)
                          : throw Unknown();
  if (op == "Neg")
    return x.isDim ? Element(Dim(0) - x.dim) : Element(-x.number);
  if (op == "Not")
    return Dim(wholeOf(x) == 0 ? 1 : 0);
  if (op == "Relu" && x.isDim && k.call.importer.isNonNegative(x.dim))
    return x;
  if ((op == "Floor" || op == "Ceil" || op == "Round") && x.isDim)
    return x;
  if (op == "Abs" && x.isDim) {
    if (std::optional<bool> positive = k.call.importer.lessOrEqual(Dim(0), x.dim))
      return *positive ? x.dim : Dim(0) - x.dim;
    throw Unknown();
  }
  double n = numberOf(x);
  double out = op == "Floor"        ? std::floor(n)
               : op == "Ceil"       ? std::ceil(n)
               : op == "Round"      ? std::nearbyint(n)
               : op == "Sqrt"       ? std::sqrt(n)
               : op == "Abs"        ? std::abs(n)
               : op == "Relu"       ? std::max(n, 0.0)
               : op == "Reciprocal" ? 1 / n
                                    : throw Unknown();
  return rounded(out, dtype);
}

static Element castTo(Known &k, const Element &x, kiln_dtype to) {
  if (x.divisor > 1) { // towards 0
    if ((to != KILN_I32 && to != KILN_I64) || !k.call.importer.isNonNegative(x.dim))
      throw Unknown();
    return x.dim.floordiv(x.divisor);
  }
  if (to == KILN_BOOL) {
    if (x.isDim && !x.dim.constant())
      throw Unknown();
    return Dim(numberOf(x) != 0 ? 1 : 0);
  }
  if (isFloat(to))
    return x.isDim && (!x.dim.constant() || std::abs(*x.dim.constant()) < (1 << 11)) ? x : rounded(numberOf(x), to);
  if (x.isDim) {
    std::optional<int64_t> number = x.dim.constant();
    bool fits = !number || to == KILN_I64 || (to == KILN_I32 && *number == static_cast<int32_t>(*number));
    if (!fits || to == KILN_U8 || to == KILN_I8 || to == KILN_U32)
      throw Unknown();
    return x;
  }
  if (!(std::abs(x.number) < 2e9) || (to != KILN_I32 && to != KILN_I64))
    throw Unknown();
  return Dim(static_cast<int64_t>(x.number));
}

//===-- Whole tensors --------------------------------------------------------------------------------------------===//

static void elementwise(Known &k, const std::string &op, bool comparison) {
  if (op == "Mod")
    k.call.integer("fmod", 0); // asked for also where there is no element
  std::vector<int64_t> shape;
  std::vector<Dim> dims = k.in[0]->shape;
  for (size_t i = 1; i < k.in.size(); ++i)
    dims = broadcastShape(dims, k.in[i]->shape);
  shape = numbers(dims);
  Elements out;
  eachPosition(shape, [&](const std::vector<int64_t> &at) {
    Element value = k.at(0)[broadcastAt(at, numbers(k.in[0]->shape))];
    if (k.in.size() == 1)
      value = inRange(single(k, op, value), k.in[0]->dtype);
    for (size_t i = 1; i < k.in.size(); ++i) {
      const Element &other = k.at(i)[broadcastAt(at, numbers(k.in[i]->shape))];
      value = comparison ? compared(k, op, value, other) : inRange(arithmetic(k, op, value, other), k.in[0]->dtype);
    }
    out.push_back(value);
  });
  k.call.know(0, comparison ? KILN_BOOL : k.in[0]->dtype, dims, std::move(out));
}

static void logical(Known &k, const std::string &op) {
  std::vector<Dim> dims = broadcastShape(k.in[0]->shape, k.in[1]->shape);
  Elements out;
  eachPosition(numbers(dims), [&](const std::vector<int64_t> &at) {
    bool a = wholeOf(k.at(0)[broadcastAt(at, numbers(k.in[0]->shape))]) != 0,
         b = wholeOf(k.at(1)[broadcastAt(at, numbers(k.in[1]->shape))]) != 0;
    out.emplace_back(Dim((op == "And" ? a && b : op == "Or" ? a || b : a != b) ? 1 : 0));
  });
  k.call.know(0, KILN_BOOL, dims, std::move(out));
}

static void chosen(Known &k) {
  std::vector<Dim> dims = broadcastShape(broadcastShape(k.in[0]->shape, k.in[1]->shape), k.in[2]->shape);
  Elements out;
  eachPosition(numbers(dims), [&](const std::vector<int64_t> &at) {
    bool first = wholeOf(k.at(0)[broadcastAt(at, numbers(k.in[0]->shape))]) != 0;
    Value *from = k.in[first ? 1 : 2];
    out.push_back((*from->known)[broadcastAt(at, numbers(from->shape))]);
  });
  k.call.know(0, k.in[1]->dtype, dims, std::move(out));
}

static void gathered(Known &k) {
  Call &call = k.call;
  const Value &x = *k.in[0], &indices = *k.in[1];
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  std::vector<int64_t> from = numbers(x.shape), to = numbers(indices.shape), shape(from.begin(), from.begin() + axis),
                       steps = strides(from);
  shape.insert(shape.end(), to.begin(), to.end());
  shape.insert(shape.end(), from.begin() + axis + 1, from.end());
  Elements out;
  eachPosition(shape, [&](const std::vector<int64_t> &at) {
    std::vector<int64_t> which(at.begin() + axis, at.begin() + axis + indices.rank()),
        place(at.begin(), at.begin() + axis);
    int64_t index = wholeOf(k.at(1)[linear(which, strides(to))]);
    index += index < 0 ? from[axis] : 0;
    if (index < 0 || index >= from[axis])
      refuse("its index " + std::to_string(index) + " is outside of an axis of " + std::to_string(from[axis]));
    place.push_back(index);
    place.insert(place.end(), at.begin() + axis + indices.rank(), at.end());
    out.push_back(k.at(0)[linear(place, steps)]);
  });
  call.know(0, x.dtype, std::vector<Dim>(shape.begin(), shape.end()), std::move(out));
}

static void joined(Known &k) {
  int64_t axis = k.call.axis(k.call.integer("axis", 0), k.in[0]->rank());
  std::vector<int64_t> shape = numbers(k.in[0]->shape);
  shape[axis] = 0;
  for (Value *value : k.in) {
    std::vector<int64_t> own = numbers(value->shape);
    if (own.size() != shape.size())
      refuse("its inputs have different numbers of axes");
    shape[axis] += own[axis];
  }
  Elements out;
  eachPosition(shape, [&](std::vector<int64_t> at) {
    for (size_t i = 0; i < k.in.size(); ++i) {
      std::vector<int64_t> own = numbers(k.in[i]->shape);
      if (at[axis] < own[axis])
        return out.push_back(k.at(i).at(linear(at, strides(own))));
      at[axis] -= own[axis];
    }
  });
  k.call.know(0, k.in[0]->dtype, std::vector<Dim>(shape.begin(), shape.end()), std::move(out));
}

static void divided(Known &k) {
  Call &call = k.call;
  if (k.in[0]->rank() != 1)
    throw Unknown();
  call.axis(call.integer("axis", 0), 1);
  size_t at = 0;
  std::vector<int64_t> sizes = numbers(splitSizes(call, k.in[0]->shape[0]));
  if (std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != static_cast<int64_t>(k.at(0).size()) ||
      std::any_of(sizes.begin(), sizes.end(), [](int64_t size) { return size < 0; }))
    throw Unknown();
  for (size_t i = 0; i < sizes.size(); ++i) {
    Elements part;
    for (int64_t j = 0; j < sizes[i]; ++j)
      part.push_back(k.at(0).at(at++));
    call.know(i, k.in[0]->dtype, {Dim(sizes[i])}, std::move(part));
  }
}

static void sliced(Known &k) {
  Call &call = k.call;
  std::vector<int64_t> shape = numbers(k.in[0]->shape), starts, ends, axes, steps;
  if (call.opset < 10) {
    starts = call.integers("starts"), ends = call.integers("ends");
  } else {
    // Where they end may be a dimension: then elements are picked when the program runs.
    for (const Element &start : k.at(1))
      starts.push_back(wholeOf(start));
    for (const Element &end : k.at(2))
      ends.push_back(wholeOf(end));
  }
  call.sliceAxes(starts.size(), ends.size(), axes, steps);
  std::vector<int64_t> first(shape.size(), 0), step(shape.size(), 1), size = shape;
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t axis = call.axis(axes[i], static_cast<int64_t>(shape.size())), n = shape[axis];
    if (steps[i] == 0)
      refuse("its step is 0");
    auto clamped = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? (at < -n ? low : at + n) : at, low, high);
    };
    bool down = steps[i] < 0;
    int64_t begin = clamped(starts[i], 0, down ? n - 1 : n), end = clamped(ends[i], down ? -1 : 0, down ? n - 1 : n);
    int64_t distance = down ? begin - end : end - begin, by = std::abs(steps[i]);
    first[axis] = begin, step[axis] = steps[i], size[axis] = distance <= 0 ? 0 : (distance + by - 1) / by;
  }
  Elements out;
  eachPosition(size, [&](std::vector<int64_t> at) {
    for (size_t d = 0; d < at.size(); ++d)
      at[d] = first[d] + at[d] * step[d];
    out.push_back(k.at(0)[linear(at, strides(shape))]);
  });
  call.know(0, k.in[0]->dtype, std::vector<Dim>(size.begin(), size.end()), std::move(out));
}

static void permuted(Known &k) {
  std::vector<int64_t> shape = numbers(k.in[0]->shape), order = k.call.integers("perm"), size;
  if (order.empty())
    for (size_t i = shape.size(); i-- > 0;)
      order.push_back(static_cast<int64_t>(i));
  if (order.size() != shape.size())
    refuse("its perm does not have each axis once");
  for (int64_t axis : order)
    size.push_back(shape[k.call.axis(axis, k.in[0]->rank())]);
  Elements out;
  eachPosition(size, [&](const std::vector<int64_t> &at) {
    std::vector<int64_t> from(at.size());
    for (size_t i = 0; i < at.size(); ++i)
      from[order[i]] = at[i];
    out.push_back(k.at(0)[linear(from, strides(shape))]);
  });
  k.call.know(0, k.in[0]->dtype, std::vector<Dim>(size.begin(), size.end()), std::move(out));
}

static void counted(Known &k) {
  double start = numberOf(k.at(0).at(0)), limit = numberOf(k.at(1).at(0)), delta = numberOf(k.at(2).at(0));
  double size = delta == 0 ? -1 : std::max(0.0, std::ceil((limit - start) / delta));
  if (k.isFloating() || !(size >= 0 && size <= kMostKnown))
    throw Unknown();
  Elements out;
  for (int64_t i = 0; i < static_cast<int64_t>(size); ++i)
    out.emplace_back(Dim(static_cast<int64_t>(start) + i * static_cast<int64_t>(delta)));
  k.call.know(0, k.in[0]->dtype, {Dim(static_cast<int64_t>(size))}, std::move(out));
}

static void reduced(Known &k, bool product) {
  if (k.in[0]->rank() > 1 || (k.isFloating()))
    throw Unknown();
  bool keep = k.call.integer("keepdims", 1) != 0;
  bool isNothing = k.call.integer("noop_with_empty_axes", 0) != 0;
  if (k.call.axes("axes", 1, product ? 18 : 13, 1, {}).empty() && isNothing)
    return k.call.alias(0, *k.in[0]);
  Dim out(product ? 1 : 0);
  for (const Element &element : k.at(0))
    out = product ? out * element.dim : out + element.dim;
  k.call.know(0, k.in[0]->dtype, keep ? std::vector<Dim>(k.in[0]->rank(), Dim(1)) : std::vector<Dim>(), {out});
}

/// Ops that only give the same elements another shape; their writers work the shape out.
static bool reshapes(const std::string &op) {
  return op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten" || op == "Identity";
}

static bool fold(Known &k, const std::string &op) {
  auto isOneOf = [&](std::initializer_list<const char *> names) {
    return std::find(names.begin(), names.end(), op) != names.end();
  };
  if (isOneOf({"Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Pow", "Neg", "Abs", "Floor", "Ceil", "Round", "Sqrt",
               "Not", "Reciprocal", "Relu"}))
    elementwise(k, op, false);
  else if (isOneOf({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}))
    elementwise(k, op, true);
  else if (isOneOf({"And", "Or", "Xor"}))
    logical(k, op);
  else if (op == "Where")
    chosen(k);
  else if (op == "Gather")
    gathered(k);
  else if (op == "Concat")
    joined(k);
  else if (op == "Slice")
    sliced(k);
  else if (op == "Split")
    divided(k);
  else if (op == "Transpose")
    permuted(k);
  else if (op == "Range")
    counted(k);
  else if (op == "ReduceProd" || op == "ReduceSum")
    reduced(k, op == "ReduceProd");
  else if (op == "Cast" || op == "CastLike") {
    std::optional<kiln_dtype> to = op == "Cast" ? dtypeOf(k.call.integer("to", 0)) : k.call.in(1).dtype;
    if (!to)
      throw Unknown();
    k.call.integer("saturate", 1);
    Elements out;
    for (const Element &element : k.at(0))
      out.push_back(castTo(k, element, *to));
    k.call.know(0, *to, k.in[0]->shape, std::move(out));
  } else
    return foldPlaces(k, op);
  return true;
}

bool foldKnown(Call &call) {
  if (!call.node.domain.empty() || reshapes(call.node.type) || call.inputs() == 0)
    return false;
  Known k{call, {}};
  size_t operands = call.node.type == "CastLike" ? 1 : call.inputs(); // of the other one, only the type matters
  bool sized = false;
  std::vector<Value *> values;
  for (size_t i = 0; i < operands; ++i) {
    values.push_back(call.has(i) ? call.importer.find(call.node.inputs[i]) : nullptr);
    sized |= values.back() && values.back()->sized;
  }
  std::deque<Value> lent;
  for (Value *value : values) {
    if (value && sized && !value->known && value->initial && value->text.empty()) { // a factor of sizes is no weight
      lent.push_back(*value);
      value = &lent.back();
      value->known = value->initial;
    }
    // What has been written stays written: its elements are known, and its name is shorter. A sequence has none.
    if (value && (!value->known || !value->text.empty()))
      return false;
    k.in.push_back(value);
  }
  if (!k.in[0] || !count(k.in[0]->shape))
    return false;
  try {
    bool folded = fold(k, call.node.type);
    if (folded && sized)
      call.ofShapes();
    return folded;
  } catch (const Unknown &) {
    return false;
  }
}

} // namespace kiln::onnx
