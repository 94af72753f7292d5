// What is computed of small integers by place when the model is read, as exporters write it around shapes: a dimension
// put into a shape (ScatterElements), picked from one, repeated, held within limits.
#include "frontend/onnx/Folding.h"

namespace kiln::onnx {

/// Above this many elements what is repeated is written: it is no shape.
static constexpr int64_t kMostRepeated = 32;

static int64_t placeIn(const Element &element, int64_t extent) {
  int64_t at = wholeOf(element);
  at += at < 0 ? extent : 0;
  if (at < 0 || at >= extent)
    refuse("its index " + std::to_string(at) + " is outside of an axis of " + std::to_string(extent));
  return at;
}

static void know(Known &k, const std::vector<int64_t> &shape, Elements elements) {
  k.call.know(0, k.in[0]->dtype, std::vector<Dim>(shape.begin(), shape.end()), std::move(elements));
}

/// Calls `visit` with the number of each index, of the shape `at`, and the place in `shape` that it and its own place
/// name: along `axis` as the index says, along others as it stands.
template <typename Visit>
static void eachIndexed(Known &k, const std::vector<int64_t> &shape, const std::vector<int64_t> &at, Visit visit) {
  int64_t axis = k.call.axis(k.call.integer("axis", 0), k.in[0]->rank());
  if (at.size() != shape.size())
    throw Unknown();
  eachPosition(at, [&](std::vector<int64_t> place) {
    int64_t from = linear(place, strides(at));
    for (size_t i = 0; i < place.size(); ++i)
      if (place[i] >= shape[i] && static_cast<int64_t>(i) != axis)
        throw Unknown();
    place[axis] = placeIn(k.at(1)[from], shape[axis]);
    visit(from, linear(place, strides(shape)));
  });
}

static void scattered(Known &k) {
  std::vector<int64_t> shape = numbers(k.in[0]->shape), at = numbers(k.in[1]->shape);
  if (k.call.string("reduction", "none") != "none" || numbers(k.in[2]->shape) != at)
    throw Unknown();
  Elements out = k.at(0);
  eachIndexed(k, shape, at, [&](int64_t from, int64_t place) { out[place] = k.at(2)[from]; });
  know(k, shape, std::move(out));
}

static void gatheredElements(Known &k) {
  std::vector<int64_t> shape = numbers(k.in[0]->shape), at = numbers(k.in[1]->shape);
  Elements out;
  eachIndexed(k, shape, at, [&](int64_t, int64_t place) { out.push_back(k.at(0)[place]); });
  know(k, at, std::move(out));
}

/// Rows of indices, each the place of an element (or of a part of the tensor): picked, or replaced by updates.
static void byRows(Known &k, bool put) {
  std::vector<int64_t> shape = numbers(k.in[0]->shape), at = numbers(k.in[1]->shape);
  if (at.empty() || at.back() != static_cast<int64_t>(shape.size()) || shape.empty() ||
      k.call.integer("batch_dims", 0) != 0 || (put && k.call.string("reduction", "none") != "none"))
    throw Unknown();
  std::vector<int64_t> rows(at.begin(), at.end() - 1);
  if (put && numbers(k.in[2]->shape) != rows)
    throw Unknown();
  Elements out = put ? k.at(0) : Elements();
  int64_t row = 0;
  eachPosition(rows, [&](const std::vector<int64_t> &) {
    std::vector<int64_t> place;
    for (size_t i = 0; i < shape.size(); ++i)
      place.push_back(placeIn(k.at(1)[row * at.back() + static_cast<int64_t>(i)], shape[i]));
    int64_t found = linear(place, strides(shape));
    if (put)
      out[found] = k.at(2)[row];
    else
      out.push_back(k.at(0)[found]);
    ++row;
  });
  know(k, put ? shape : rows, std::move(out));
}

static void repeated(Known &k, bool tile) {
  std::vector<int64_t> shape = numbers(k.in[0]->shape), to;
  if (tile)
    for (const Element &times : k.at(1))
      to.push_back(wholeOf(times));
  else
    to = numbers(broadcastShape(k.in[0]->shape, k.call.dims(1, "its shape")));
  if (tile && to.size() != shape.size())
    throw Unknown();
  int64_t total = 1;
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] *= tile ? shape[i] : 1;
    if (to[i] < 0 || to[i] > kMostRepeated || (total *= to[i]) > kMostRepeated)
      throw Unknown();
  }
  Elements out;
  eachPosition(to, [&](std::vector<int64_t> at) {
    for (size_t i = 0; tile && i < at.size(); ++i)
      at[i] %= shape[i];
    out.push_back(k.at(0)[broadcastAt(at, shape)]);
  });
  know(k, to, std::move(out));
}

static Element larger(Known &k, const Element &a, const Element &b, bool wantsLarger) {
  if (std::optional<bool> less = k.call.importer.lessOrEqual(a.dim, b.dim))
    return *less == wantsLarger ? b : a;
  return wantsLarger ? max(a.dim, b.dim) : a.dim + b.dim - max(a.dim, b.dim);
}

static void extreme(Known &k, bool wantsLarger) {
  if (k.in[0]->rank() > 1 || k.at(0).empty())
    throw Unknown();
  bool keep = k.call.integer("keepdims", 1) != 0, isNothing = k.call.integer("noop_with_empty_axes", 0) != 0;
  if (k.call.axes("axes", 1, 18, 1, {}).empty() && isNothing)
    return k.call.alias(0, *k.in[0]);
  Element out = k.at(0)[0];
  for (const Element &element : k.at(0))
    out = larger(k, out, element, wantsLarger);
  k.call.know(0, k.in[0]->dtype, keep ? std::vector<Dim>(k.in[0]->rank(), Dim(1)) : std::vector<Dim>(), {out});
}

static void clipped(Known &k) {
  if (k.call.opset < 11)
    throw Unknown();
  Elements out;
  for (Element element : k.at(0)) {
    if (k.call.has(1))
      element = larger(k, element, k.at(1).at(0), true);
    out.push_back(k.call.has(2) ? larger(k, element, k.at(2).at(0), false) : element);
  }
  k.call.know(0, k.in[0]->dtype, k.in[0]->shape, std::move(out));
}

bool foldPlaces(Known &k, const std::string &op) {
  bool isPlace = op == "ScatterElements" || op == "Scatter" || op == "GatherElements" || op == "ScatterND" ||
                 op == "GatherND" || op == "Expand" || op == "Tile";
  if (k.isFloating() || (k.in[0]->dtype != KILN_I64 && k.in[0]->dtype != KILN_I32 && !isPlace))
    return false;
  if (op == "ScatterElements" || op == "Scatter")
    scattered(k);
  else if (op == "GatherElements")
    gatheredElements(k);
  else if (op == "ScatterND" || op == "GatherND")
    byRows(k, op == "ScatterND");
  else if (op == "Expand" || op == "Tile")
    repeated(k, op == "Tile");
  else if (op == "ReduceMax" || op == "ReduceMin")
    extreme(k, op == "ReduceMax");
  else if (op == "Clip")
    clipped(k);
  else
    return false;
  return true;
}

} // namespace kiln::onnx
