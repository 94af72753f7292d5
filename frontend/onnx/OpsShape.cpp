// Ops that give elements another shape or order, and the arithmetic of shapes that is never more than text.
#include "frontend/onnx/Ops.h"

#include <algorithm>
#include <cmath>

namespace kiln::onnx {

/// The same elements in another shape: of what is known, nothing is written.
static void reshapeTo(Call &call, const std::vector<Dim> &shape,
                      const std::function<std::string()> &expression = nullptr) {
  Value x = call.in(0);
  if (x.shape == shape)
    return call.alias(0, x);
  if (x.text.empty() && x.known && (!x.constant || !isFloat(x.dtype)))
    return call.know(0, x.dtype, shape, *x.known);
  bool plain = expression && !(x.text.empty() && x.known);
  call.set(0, plain ? expression() : "reshape(" + call.tensor(0) + (shape.empty() ? "" : ", ") + dimsText(shape) + ")");
}

/// Of a shape that a tracing exporter has written down for the sizes of its example: refuses it, saying which dimension
/// has to be what.
static void checkExample(const Dim &elements, const Dim &wanted) {
  if (elements == wanted)
    return;
  for (const std::string &symbol : elements.symbols())
    if (std::optional<Dim> rest = elements.exactDiv(Dim::symbol(symbol)))
      if (std::optional<Dim> number = *rest == Dim(0) ? std::nullopt : wanted.exactDiv(*rest);
          number && number->constant())
        throw Refusal{"its shape has as many elements as its input only where " + symbol + " is " + number->str() +
                          ": --dim " + symbol + "=" + number->str(),
                      symbol, *number->constant()};
}

static void reshape(Call &call) {
  Value x = call.in(0);
  bool zeroIsZero = call.integer("allowzero", 0) != 0;
  std::vector<Dim> shape = call.dims(1, "its shape");
  Dim known(1);
  std::optional<size_t> open;
  std::string text;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == Dim(0) && !zeroIsZero) {
      if (i >= x.shape.size())
        refuse("its shape copies axis " + std::to_string(i) + " of a tensor with " + std::to_string(x.rank()) +
               " axes");
      shape[i] = x.shape[i];
    }
    if (shape[i] == Dim(-1)) {
      if (open)
        refuse("its shape has two numbers left open (-1)");
      open = i;
    } else {
      known = known * shape[i];
    }
    text += ", " + dimText(shape[i]);
  }
  if (!open)
    checkExample(product(x.shape), known);
  if (open && known != Dim(0))
    if (std::optional<Dim> rest = product(x.shape).exactDiv(known))
      shape[*open] = *rest;
  reshapeTo(call, shape, [&] { return "reshape(" + call.tensor(0) + text + ")"; });
}

static void unsqueeze(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> axes = call.opset >= 13 ? call.constants(1, "its axes") : call.integers("axes");
  int64_t rank = x.rank() + static_cast<int64_t>(axes.size());
  for (int64_t &axis : axes)
    axis = call.axis(axis, rank);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    refuse("an axis is named twice");
  std::vector<Dim> shape = x.shape;
  std::string text, rest;
  for (int64_t axis : axes)
    shape.insert(shape.begin() + axis, Dim(1));
  bool atEnd = axes.empty() || axes.front() >= x.rank();
  for (int64_t axis = 0; axis < rank; ++axis) {
    bool isNew = std::find(axes.begin(), axes.end(), axis) != axes.end();
    rest += (rest.empty() ? "" : ", ") + std::string(isNew ? "None" : ":");
    text = isNew ? rest : text;
  }
  if (atEnd && x.rank() > 1) {
    text = "...";
    for (size_t i = 0; i < axes.size(); ++i)
      text += ", None";
  }
  reshapeTo(call, shape, [&] { return call.tensor(0) + "[" + text + "]"; });
}

/// com.microsoft's Unsqueeze of one axis.
static void expandDims(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.constants(1, "its axis").at(0), x.rank() + 1);
  std::vector<Dim> shape = x.shape;
  shape.insert(shape.begin() + axis, Dim(1));
  reshapeTo(call, shape);
}

static void squeeze(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> axes = call.axes("axes", 1, 13, x.rank(), {-1});
  if (axes == std::vector<int64_t>{-1}) {
    axes.clear();
    for (int64_t i = 0; i < x.rank(); ++i)
      if (x.shape[i] == Dim(1))
        axes.push_back(i);
  }
  std::sort(axes.rbegin(), axes.rend());
  std::vector<Dim> shape = x.shape;
  for (int64_t axis : axes) {
    if (!call.importer.needEqual(shape[axis], 1))
      refuse("axis " + std::to_string(axis) + " is not shown to have one element: it has " + dimText(shape[axis]));
    shape.erase(shape.begin() + axis);
  }
  reshapeTo(call, shape, [&] {
    std::string out = call.tensor(0);
    for (int64_t axis : axes)
      if (x.shape[axis] == Dim(1)) {
        out = "squeeze(" + out + ", " + std::to_string(axis) + ")";
      } else { // one element by the sizes that are taken, which the language does not know
        out += "[";
        for (int64_t i = 0; i < axis; ++i)
          out += ":, ";
        out += "0]";
      }
    return out;
  });
}

static void flatten(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.integer("axis", 1);
  axis += axis < 0 ? x.rank() : 0;
  if (axis < 0 || axis > x.rank())
    refuse("its axis is outside of a tensor with " + std::to_string(x.rank()) + " axes");
  Dim front = product({x.shape.begin(), x.shape.begin() + axis}),
      back = product({x.shape.begin() + axis, x.shape.end()});
  bool plain = axis == 1 && x.rank() > 1;
  reshapeTo(call, {front, back},
            plain ? [&] { return "flatten(" + call.tensor(0) + ", 1)"; } : std::function<std::string()>());
}

static void transpose(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> order = call.integers("perm");
  if (order.empty())
    for (int64_t i = x.rank(); i-- > 0;)
      order.push_back(i);
  std::vector<int64_t> sorted = order, moved;
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < static_cast<int64_t>(sorted.size()); ++i) {
    if (sorted[i] != i || sorted.size() != x.shape.size())
      refuse("its perm does not have each of the " + std::to_string(x.rank()) + " axes once");
    if (order[i] != i)
      moved.push_back(i);
  }
  if (moved.empty())
    return call.alias(0, x);
  if (moved.size() == 2)
    return call.set(0, moved[1] + 1 == x.rank() && moved[0] + 2 == x.rank()
                           ? call.tensor(0) + ".T"
                           : "transpose(" + call.tensor(0) + ", " + std::to_string(moved[0]) + ", " +
                                 std::to_string(moved[1]) + ")");
  std::string text;
  for (int64_t axis : order)
    text += ", " + std::to_string(axis);
  call.set(0, "permute(" + call.tensor(0) + text + ")");
}

static void shapeOf(Call &call) {
  const Value &x = call.in(0);
  auto clamped = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + x.rank() : at, 0, x.rank()); };
  int64_t start = clamped(call.integer("start", 0)), end = clamped(call.integer("end", x.rank()));
  std::vector<Element> out;
  for (int64_t i = start; i < end; ++i)
    out.emplace_back(x.shape[i]);
  Dim size(static_cast<int64_t>(out.size()));
  call.know(0, KILN_I64, {size}, std::move(out));
  call.ofShapes();
}

static void sizeOf(Call &call) {
  call.know(0, KILN_I64, {}, {product(call.in(0).shape)});
  call.ofShapes();
}

static void constant(Call &call) {
  auto whole = [&](std::vector<int64_t> numbers, bool list) {
    std::vector<Element> elements;
    for (int64_t number : numbers)
      elements.emplace_back(Dim(number));
    std::vector<Dim> shape(list ? 1 : 0, Dim(static_cast<int64_t>(numbers.size())));
    call.know(0, KILN_I64, shape, std::move(elements));
  };
  auto fraction = [&](const std::vector<double> &numbers, bool list) {
    std::vector<Element> elements(numbers.begin(), numbers.end());
    std::vector<Dim> shape(list ? 1 : 0, Dim(static_cast<int64_t>(numbers.size())));
    call.know(0, KILN_F32, shape, std::move(elements));
  };
  if (call.hasAttribute("value_int"))
    return whole({call.integer("value_int", 0)}, false);
  if (call.hasAttribute("value_ints"))
    return whole(call.integers("value_ints"), true);
  if (call.hasAttribute("value_float"))
    return fraction({call.number("value_float", 0)}, false);
  if (call.hasAttribute("value_floats"))
    return fraction(call.numbers("value_floats"), true);
  const Attribute *value = call.attribute("value");
  if (!value || value->kind != Attribute::Tensor)
    refuse("it has no value that Kiln could hold");
  Value out = valueOf(value->tensor);
  out.wish = call.node.outputs.empty() ? "" : call.node.outputs[0];
  call.alias(0, out);
}

static Value fillValue(Call &call) {
  const Attribute *value = call.attribute("value");
  Value out;
  if (!value) {
    out.known = std::make_shared<std::vector<Element>>(1, Element(0.0));
    return out;
  }
  if (value->kind != Attribute::Tensor || value->tensor->count() != 1)
    refuse("its value is no tensor of one element");
  return valueOf(value->tensor);
}

static void constantOfShape(Call &call) {
  std::vector<Dim> shape = call.dims(0, "its shape");
  Value fill = fillValue(call);
  std::optional<int64_t> count = product(shape).constant();
  if (count && *count <= kMostKnown && !isFloat(fill.dtype))
    return call.know(0, fill.dtype, shape, std::vector<Element>(*count, fill.known->front()));
  call.set(0, "full(" + dimsText(shape) + (shape.empty() ? "" : ", ") + elementText(fill.known->front(), fill.dtype) +
                  ", dtype=" + dtypeName(fill.dtype) + ")");
}

static void expand(Call &call) {
  Value x = call.in(0);
  std::vector<Dim> shape = broadcastShape(x.shape, call.dims(1, "its shape"));
  if (shape == x.shape)
    return call.alias(0, x);
  call.set(0, "broadcast(" + call.tensor(0) + ", " + dimsText(shape) + ")");
}

/// A range of floats that are all known.
static void floatRange(Call &call) {
  double start = call.floats(0, "its start").at(0), limit = call.floats(1, "its end").at(0),
         delta = call.has(2) ? call.floats(2, "its step").at(0) : 1;
  double size = delta == 0 ? -1 : std::ceil((limit - start) / delta);
  if (!(size < 1e9) || delta == 0)
    refuse("its step is 0, or it has no end");
  std::string dtype = dtypeName(call.in(0).dtype),
              out = "iota(" + std::to_string(static_cast<int64_t>(std::max(size, 0.0))) + ").to(" + dtype + ")";
  if (delta != 1)
    out += " * " + numberText(delta, call.in(0).dtype);
  call.set(0, start == 0 ? out : out + " + " + numberText(start, call.in(0).dtype));
}

static void range(Call &call) {
  if (isFloat(call.in(0).dtype))
    return floatRange(call);
  Dim start = call.dims(0, "its start").at(0), limit = call.dims(1, "its end").at(0),
      delta = call.has(2) ? call.dims(2, "its step").at(0) : Dim(1);
  std::optional<int64_t> step = delta.constant();
  if (!step || *step == 0)
    refuse("its step is not known to be a number other than 0");
  Dim distance = *step > 0 ? limit - start : start - limit;
  int64_t by = std::abs(*step);
  Dim size = by == 1 ? distance : (distance + Dim(by - 1)).floordiv(by);
  if (!call.importer.isNonNegative(distance))
    size = max(size, Dim(0));
  std::string out = "iota(" + dimText(size) + ", dtype=" + dtypeName(call.in(0).dtype) + ")";
  if (*step != 1)
    out += " * " + numberText(static_cast<double>(*step)).substr(0, 0) +
           (*step < 0 ? "(" + std::to_string(*step) + ")" : std::to_string(*step));
  if (start != Dim(0))
    out += " + " + dimText(start, true);
  call.set(0, out);
}

static void concat(Call &call) {
  if (call.inputs() == 0)
    refuse("it has no inputs");
  int64_t axis = call.axis(call.integer("axis", 0), call.in(0).rank());
  std::string out;
  for (size_t i = 0; i < call.inputs(); ++i)
    out += call.tensor(i) + ", ";
  if (call.inputs() == 1)
    return call.alias(0, call.in(0));
  bool last = axis + 1 == call.in(0).rank();
  call.set(0, "concat(" + (last ? out.substr(0, out.size() - 2) : out + "axis=" + std::to_string(axis)) + ")");
}

std::vector<Dim> splitSizes(Call &call, const Dim &extent) {
  size_t count = call.node.outputs.size();
  int64_t asked = call.integer("num_outputs", static_cast<int64_t>(count));
  std::vector<Dim> sizes;
  if (call.opset >= 13 && call.has(1))
    sizes = call.dims(1, "its sizes");
  else if (call.opset < 13 && call.hasAttribute("split"))
    for (int64_t size : call.integers("split"))
      sizes.emplace_back(size);
  std::optional<int64_t> whole = extent.constant();
  if (sizes.empty()) {
    if (asked < 1 || static_cast<size_t>(asked) != count)
      refuse("it has " + std::to_string(count) + " results and asks for " + std::to_string(asked));
    if (!whole)
      return {};
    int64_t part = (*whole + asked - 1) / asked; // the last one is smaller where they are not equal
    for (int64_t i = 0; i < asked; ++i)
      sizes.emplace_back(std::clamp<int64_t>(*whole - i * part, 0, part));
  }
  if (sizes.size() != count)
    refuse("it has " + std::to_string(count) + " results and " + std::to_string(sizes.size()) + " sizes");
  return sizes;
}

static void split(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  size_t count = call.node.outputs.size();
  std::vector<Dim> sizes = splitSizes(call, x.shape[axis]);
  if (count == 1)
    return call.alias(0, x);
  Dim parts(static_cast<int64_t>(count));
  bool equal = std::all_of(sizes.begin(), sizes.end(), [&](const Dim &size) { return size * parts == x.shape[axis]; });
  call.setAll("split(" + call.tensor(0) + ", " + (equal ? std::to_string(count) : "(" + dimsText(sizes) + ")") +
                  (axis + 1 == x.rank() ? ")" : ", axis=" + std::to_string(axis) + ")"),
              count);
}

static void tile(Call &call) {
  Value x = call.in(0);
  std::vector<int64_t> repeats = call.constants(1, "its repeats");
  if (repeats.size() != x.shape.size())
    refuse("it has " + std::to_string(repeats.size()) + " repeats for " + std::to_string(x.rank()) + " axes");
  std::string out = call.tensor(0);
  for (size_t axis = 0; axis < repeats.size(); ++axis)
    if (repeats[axis] != 1) {
      if (repeats[axis] < 0 || repeats[axis] > 4096)
        refuse("it repeats an axis " + std::to_string(repeats[axis]) + " times");
      out = repeats[axis] == 0
                ? out + "[" + colons(static_cast<int64_t>(axis)) + "0:0]"
                : "tile(" + out + ", " + std::to_string(repeats[axis]) + ", " + std::to_string(axis) + ")";
    }
  call.set(0, out);
}

/// A torus goes round more than once where an axis is shorter than what is put beside it, which the language's pad does
/// not: a piece of its copies, after which nothing is to be put beside that axis.
static std::string wrapped(std::string x, const std::vector<Dim> &shape, std::vector<Dim> &low,
                           std::vector<Dim> &high) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    std::optional<int64_t> extent = shape[axis].constant(), before = low[axis].constant(),
                           behind = high[axis].constant();
    if (!extent || !before || !behind || *extent < 1 || std::max(*before, *behind) <= *extent ||
        std::min(*before, *behind) < 0)
      continue;
    int64_t begin = (*extent - *before % *extent) % *extent, end = begin + *before + *extent + *behind,
            copies = (end + *extent - 1) / *extent;
    if (copies > 4096)
      refuse("it goes round axis " + std::to_string(axis) + " " + std::to_string(copies) + " times");
    x = "tile(" + x + ", " + std::to_string(copies) + ", " + std::to_string(axis) + ")[" +
        colons(static_cast<int64_t>(axis)) + std::to_string(begin) + ":" + std::to_string(end) + "]";
    low[axis] = high[axis] = Dim(0);
  }
  return x;
}

static void pad(Call &call) {
  Value x = call.in(0);
  std::string mode = call.string("mode", "constant"), value = "0.0";
  std::vector<Dim> amounts;
  if (call.opset < 11 && call.node.domain.empty()) {
    for (int64_t amount : call.integers("pads"))
      amounts.emplace_back(amount);
    value = numberText(call.number("value", 0));
  } else {
    amounts = call.dims(1, "its pads");
    value = call.has(2) ? call.number(2, 0) : !isFloat(x.dtype) ? "0" : value;
    if (call.has(2) && call.in(2).rank() > 0 && call.in(2).known)
      value = elementText(call.in(2).known->at(0), x.dtype);
    else if (call.has(2) && call.in(2).rank() > 0)
      value = "reshape(" + value + ")";
  }
  std::vector<int64_t> axes;
  if (call.opset >= 18 && call.has(3))
    axes = call.constants(3, "its axes");
  else
    for (int64_t i = 0; i < x.rank(); ++i)
      axes.push_back(i);
  if (amounts.size() != 2 * axes.size())
    refuse("it has " + std::to_string(amounts.size()) + " pads for " + std::to_string(axes.size()) + " axes");
  std::vector<Dim> low(x.rank(), Dim(0)), high(x.rank(), Dim(0));
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = call.axis(axes[i], x.rank());
    low[axis] = amounts[i], high[axis] = amounts[axes.size() + i];
  }
  std::string ours = mode == "edge" ? "replicate" : mode == "wrap" ? "circular" : mode;
  if (ours != "constant" && ours != "reflect" && ours != "replicate" && ours != "circular")
    refuse("its mode is '" + mode + "'");
  if (value == "0" || value == "False")
    value = "0.0";
  std::string from = call.tensor(0);
  if (ours == "circular")
    from = wrapped(std::move(from), x.shape, low, high);
  std::string out = padded(call, from, x.shape, low, high, value, ours);
  out == call.tensor(0) ? call.alias(0, x) : call.set(0, out);
}

static void trilu(Call &call) {
  Value x = call.in(0);
  if (x.rank() < 2)
    refuse("it wants a matrix");
  bool upper = call.integer("upper", 1) != 0;
  int64_t k = call.has(1) ? call.constants(1, "its diagonal").at(0) : 0;
  std::string n = dimText(x.shape[x.rank() - 2]), m = dimText(x.shape[x.rank() - 1]);
  std::string mask = "tril_mask(" + n + ", " + m + ", " + std::to_string(upper ? k - 1 : k) + ")";
  std::string zero = isFloat(x.dtype) ? "0.0" : x.dtype == KILN_BOOL ? "False" : "0";
  call.set(0, "where(" + mask + ", " + (upper ? zero + ", " + call.tensor(0) : call.tensor(0) + ", " + zero) + ")");
}

static void eyeLike(Call &call) {
  Value x = call.in(0);
  std::optional<kiln_dtype> dtype = call.hasAttribute("dtype") ? dtypeOf(call.integer("dtype", 1)) : x.dtype;
  int64_t k = call.integer("k", 0);
  if (!dtype || x.rank() != 2)
    refuse("it wants a matrix, and a type that Kiln has");
  std::string n = dimText(x.shape[0]), m = dimText(x.shape[1]);
  call.set(0, "(iota(" + n + ")[:, None] + " + std::to_string(k) + " == iota(" + m + ")[None, :]).to(" +
                  dtypeName(*dtype) + ")");
}

static void spaceToDepth(Call &call) {
  Value x = call.in(0);
  int64_t b = call.integer("blocksize", 0);
  if (x.rank() != 4 || b < 1)
    refuse("it wants [N, C, H, W] and a blocksize");
  std::string mode = call.string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    refuse("its mode is '" + mode + "'");
  call.set(0, std::string(mode == "DCR" ? "space_to_depth(" : "pixel_unshuffle(") + call.tensor(0) + ", " +
                  std::to_string(b) + ")");
}

static void depthToSpace(Call &call) {
  Value x = call.in(0);
  int64_t b = call.integer("blocksize", 0);
  std::string mode = call.string("mode", "DCR");
  if (x.rank() != 4 || b < 1 || (mode != "DCR" && mode != "CRD"))
    refuse("it wants [N, C, H, W], a blocksize, and the mode DCR or CRD");
  call.set(0, std::string(mode == "DCR" ? "depth_to_space(" : "pixel_shuffle(") + call.tensor(0) + ", " +
                  std::to_string(b) + ")");
}

std::vector<Op> shapeOps() {
  const char *microsoft = "com.microsoft";
  return {
      {"ExpandDims", 1, "reshape(x, B, 1, 4)", expandDims, "", microsoft},
      {"Range", 1, "iota(n)", range, "ends that depend on data", microsoft},
      {"Pad", 1, "pad(x, low, high, value=0, mode=\"reflect\")", pad, "", microsoft},
      {"Trilu", 1, "where(tril_mask(n, m), x, 0)", trilu, "", microsoft},
      {"Constant", 7, "a number, or a parameter", constant, "sparse ones and texts"},
      {"ConstantOfShape", 9, "full(B, 4, 0.0)", constantOfShape},
      {"Shape", 7, "B, T", shapeOf},
      {"Size", 7, "B * T", sizeOf},
      {"Reshape", 7, "reshape(x, B, -1)", reshape, "a shape that depends on data"},
      {"Flatten", 7, "flatten(x, 1)", flatten},
      {"Squeeze", 7, "squeeze(x, 1)", squeeze},
      {"Unsqueeze", 7, "x[:, None]", unsqueeze},
      {"Transpose", 7, "permute(x, 0, 2, 1), x.T", transpose},
      {"Expand", 8, "broadcast(x, B, 4)", expand, "a shape that depends on data"},
      {"Range", 11, "iota(n)", range, "ends that depend on data"},
      {"Concat", 7, "concat(a, b, axis=1)", concat},
      {"Split", 7, "split(x, 2, axis=1)", split},
      {"Tile", 7, "tile(x, 2, axis)", tile, "repeats that depend on data"},
      {"Pad", 7, "pad(x, low, high, value=0, mode=\"reflect\")", pad},
      {"Trilu", 14, "where(tril_mask(n, m), x, 0)", trilu},
      {"EyeLike", 9, "iota(n)[:, None] == iota(m)[None, :]", eyeLike},
      {"SpaceToDepth", 7, "space_to_depth(x, 2)", spaceToDepth},
      {"DepthToSpace", 7, "depth_to_space(x, 2), pixel_shuffle(x, 2)", depthToSpace},
  };
}

} // namespace kiln::onnx
