// How operands are drawn, what the answer may miss by, and the comparison itself.

#include "backends/conformance/Judge.h"

#include <cmath>
#include <limits>
#include <random>

namespace kiln::conformance {

using reference::Tensor;
using sdk::isFloat;

namespace {

struct Format {
  int digits, lowest; // binary digits; exponent of the smallest normal number
  double largest;
};

Format formatOf(kiln_dtype dtype) {
  switch (dtype) {
  case KILN_F64:
    return {53, -1022, std::numeric_limits<double>::max()};
  case KILN_BF16:
    return {8, -126, 0x1.FEp127};
  case KILN_F16:
    return {11, -14, 65504};
  default:
    return {24, -126, static_cast<double>(std::numeric_limits<float>::max())};
  }
}

std::vector<double> specialFloats(kiln_dtype dtype, bool denormals) {
  Format f = formatOf(dtype);
  double infinity = std::numeric_limits<double>::infinity(), normal = std::ldexp(1, f.lowest),
         epsilon = std::ldexp(1, 1 - f.digits);
  std::vector<double> list = {0.0,     -0.0,     1,         -1,           0.5,       -0.5,        1.5,
                              2.5,     -2.5,     3,         -7,           0.1,       1 + epsilon, 1 - epsilon / 2,
                              epsilon, infinity, -infinity, std::nan(""), f.largest, -f.largest,  normal,
                              -normal, 11,       100.5,     -100.5};
  if (denormals)
    for (double value : {normal * epsilon, -normal * epsilon, normal / 2})
      list.push_back(value);
  return list;
}

std::vector<int64_t> specialIntegers(kiln_dtype dtype) {
  int64_t low = reference::lowestOf(dtype), high = reference::highestOf(dtype);
  if (dtype == KILN_BOOL)
    return {0, 1};
  std::vector<int64_t> list = {0,  1,  2,   3,   5,       7,    8,        31,       33,
                               63, 64, 100, low, low + 1, high, high - 1, high / 2, high / 2 + 1};
  if (sdk::isSigned(dtype))
    list.insert(list.end(), {-1, -2, -7, -100});
  return list;
}

} // namespace

double ulpOf(kiln_dtype dtype, double value) {
  Format f = formatOf(dtype);
  int exponent = value == 0 || !std::isfinite(value) ? f.lowest : std::max(std::ilogb(value), f.lowest);
  return std::ldexp(1, exponent - (f.digits - 1));
}
double largestOf(kiln_dtype dtype) { return formatOf(dtype).largest; }
double smallestNormalOf(kiln_dtype dtype) { return std::ldexp(1, formatOf(dtype).lowest); }

Judge::Judge(Case &judged, bool flushesDenormals) : case_(judged), flushes_(flushesDenormals) {
  const kiln_kernel &kernel = judged.definition ? judged.definition->table("definition") : judged.kernel->table();
  sdk::Graph::read(*tableReader(), &kernel, graph_, unreadable_);
}

//===-- Operands --------------------------------------------------------------------------------------------------===//

namespace {

/// Fills tensors one after another: each pair of special values meets, then come plain ones.
struct Drawing {
  std::mt19937_64 engine;
  bool denormals;
  uint64_t shift = 1;
  bool first = true;

  void fill(Tensor &tensor, const Operand &how, bool specials) {
    auto count = static_cast<size_t>(tensor.size());
    auto each = [&](auto &to, const auto &list, auto plain) {
      uint64_t kinds = list.size(), offset = count < kinds ? engine() % 1009 : 0;
      for (size_t e = 0; e < count; ++e) {
        uint64_t turn = (e + offset) / shift;
        to[e] = specials && turn < (first ? kinds * kinds : kinds) ? list[turn % kinds] : plain();
      }
      shift *= kinds;
    };
    if (tensor.isFloat()) {
      std::uniform_real_distribution<double> plain(how.low, how.high);
      each(tensor.floats, specialFloats(tensor.dtype, denormals), [&] { return plain(engine); });
      tensor.round();
    } else {
      auto low = std::max(reference::lowestOf(tensor.dtype), static_cast<int64_t>(std::ceil(how.low)));
      auto high =
          std::max(low, std::min(reference::highestOf(tensor.dtype), static_cast<int64_t>(std::floor(how.high))));
      std::uniform_int_distribution<int64_t> plain(low, high);
      each(tensor.integers, specialIntegers(tensor.dtype), [&] { return plain(engine); });
    }
    first = false;
  }
};

} // namespace

Tensor draw(kiln_dtype dtype, std::vector<int64_t> shape, double low, double high, uint64_t seed) {
  Tensor tensor{dtype, std::move(shape), {}, {}};
  tensor.allocate();
  Drawing{std::mt19937_64(seed), true}.fill(tensor, {Fill::Range, low, high}, false);
  return tensor;
}

std::vector<Bytes> Judge::operands(const Launch &launch) const {
  std::vector<Bytes> result;
  Drawing drawing{std::mt19937_64(case_.seed), !flushes_};
  for (size_t i = 0; i < case_.kernel->inputs().size(); ++i) {
    uint32_t value = case_.kernel->inputs()[i];
    Tensor tensor{case_.kernel->dtype(value), case_.kernel->shape(value, launch.extents), {}, {}};
    tensor.allocate();
    drawing.fill(tensor, case_.operands[i], case_.operands[i].fill == Fill::Special && launch.special);
    tensor.store(result.emplace_back(static_cast<size_t>(tensor.size() * sdk::byteSize(tensor.dtype))).data());
  }
  return result;
}

//===-- The answer ------------------------------------------------------------------------------------------------===//

static Bytes magnitudes(kiln_dtype dtype, const Bytes &bytes) {
  if (!isFloat(dtype))
    return bytes;
  Tensor tensor{dtype, {static_cast<int64_t>(bytes.size()) / sdk::byteSize(dtype)}, {}, {}};
  tensor.load(bytes.data());
  for (double &value : tensor.floats)
    value = std::fabs(value);
  Bytes result(bytes.size());
  tensor.store(result.data());
  return result;
}

bool Judge::expect(const Launch &launch, const std::vector<Bytes> &operands, Expected &expected, std::string &error) {
  error = unreadable_;
  if (!error.empty())
    return false;
  // Narrow floats round after each op by definition; the others are judged against float64 throughout.
  bool narrow = false;
  for (const sdk::Type &type : graph_.values)
    narrow |= type.dtype == KILN_BF16 || type.dtype == KILN_F16;
  bool several = graph_.ops.size() > 1 || (graph_.ops.size() == 1 && !graph_.ops.front().region.empty());
  reference::Evaluator evaluator(narrow && several ? reference::Rounding::EachOp : reference::Rounding::Never);
  auto evaluate = [&](const std::vector<Bytes> &from, std::vector<Tensor> &to, kiln_status &status) {
    std::vector<const uint8_t *> memory;
    for (const Bytes &bytes : from)
      memory.push_back(bytes.data());
    const std::vector<int64_t> &extents = case_.definition ? launch.defined : launch.extents;
    if (!evaluator.run(graph_, extents.data(), memory, status, error))
      return false;
    for (uint32_t output : graph_.outputs)
      to.push_back(evaluator.value(output));
    return true;
  };
  if (!evaluate(operands, expected.values, expected.status))
    return false;
  if (!case_.accuracy.sums)
    return true;
  std::vector<Bytes> absolute;
  for (size_t i = 0; i < operands.size(); ++i)
    absolute.push_back(magnitudes(graph_.type(graph_.inputs[i]).dtype, operands[i]));
  kiln_status ignored{};
  return evaluate(absolute, expected.sizes, ignored);
}

double Judge::allowed(const Expected &expected, size_t output, size_t element) const {
  const Tensor &value = expected.values[output];
  kiln_dtype dtype = value.dtype;
  double exact = value.floats[element];
  double tolerance = case_.accuracy.ulps * ulpOf(dtype, exact) + case_.accuracy.near * std::max(1.0, std::fabs(exact));
  if (case_.accuracy.sums) {
    // Sums in any order, in f32 at least: the probable error of n roundings, four times over.
    double unit = dtype == KILN_F64 ? 0x1p-53 : 0x1p-24, size = std::fabs(expected.sizes[output].floats[element]);
    if (case_.accuracy.inPlace)
      unit = ulpOf(dtype, 1) / 2;
    tolerance += 4 * unit * std::sqrt(case_.accuracy.terms) * size;
    // Terms that a kernel computes itself may be rounded to their narrow dtype, or not.
    if (graph_.ops.size() > 1 && (dtype == KILN_BF16 || dtype == KILN_F16))
      tolerance += ulpOf(dtype, 1) / 2 * size;
  }
  // Functions (what is allowed several ulps) may lose results below the normal numbers, as PyTorch's do.
  bool loses = flushes_ || case_.accuracy.ulps >= 4;
  return tolerance + (loses ? smallestNormalOf(dtype) : 0);
}

bool Judge::compare(const Expected &expected, size_t output, const Bytes &found, Distance &worst,
                    std::string &why) const {
  const Tensor &want = expected.values[output];
  Tensor have{want.dtype, want.shape, {}, {}};
  have.load(found.data());
  auto differ = [&](size_t element, const std::string &got, const std::string &wanted) {
    why = "output " + std::to_string(output) + " element " + std::to_string(element) + " of " +
          std::to_string(have.size()) + ": " + got + ", expected " + wanted;
    return false;
  };
  for (size_t e = 0; e < want.integers.size(); ++e)
    if (have.integers[e] != want.integers[e])
      return differ(e, std::to_string(have.integers[e]), std::to_string(want.integers[e]));
  if (want.dtype == KILN_BOOL)
    for (size_t e = 0; e < found.size(); ++e)
      if (found[e] > 1)
        return differ(e, "a bool of " + std::to_string(found[e]), "0 or 1");
  auto number = [](double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", value);
    return std::string(text);
  };
  double largest = largestOf(want.dtype);
  for (size_t e = 0; e < want.floats.size(); ++e) {
    double exact = want.floats[e], got = have.floats[e], rounded = reference::roundTo(want.dtype, exact);
    if (got == rounded || (std::isnan(exact) && std::isnan(got)))
      continue;
    if (std::isnan(exact) || std::isnan(got) || std::isinf(exact))
      return differ(e, number(got), number(exact));
    double tolerance = allowed(expected, output, e);
    if (std::isinf(got) || std::isinf(rounded)) { // at the edge of the range either may be
      if (std::signbit(got) == std::signbit(exact) && std::fabs(exact) + tolerance >= largest &&
          std::fabs(got) + tolerance >= largest)
        continue;
      return differ(e, number(got), number(exact));
    }
    double error = std::fabs(got - exact), ulps = error / ulpOf(want.dtype, exact);
    // A correctly rounded result is half an ulp away: that much is always there.
    if (error > std::max(tolerance, ulpOf(want.dtype, exact) / 2 * (case_.accuracy.ulps > 0)))
      return differ(e, number(got),
                    number(exact) + " (off by " + number(ulps) + " ulp, allowed " +
                        number(tolerance / ulpOf(want.dtype, exact)) + ")");
    worst.share = std::max(worst.share, tolerance > 0 ? error / std::max(tolerance, ulpOf(want.dtype, exact) / 2) : 0);
    if (!case_.accuracy.sums && std::fabs(exact) >= smallestNormalOf(want.dtype))
      worst.ulps = std::max(worst.ulps, ulps);
  }
  return true;
}

bool Judge::compareStatus(const Expected &expected, const kiln_status &found, std::string &why) const {
  const kiln_status &want = expected.status;
  // Where no result has an element no index selects one: a backend may look at them or not.
  if (std::all_of(expected.values.begin(), expected.values.end(),
                  [](const reference::Tensor &value) { return value.size() == 0; }))
    return true;
  auto text = [](const kiln_status &status) {
    return "kind " + std::to_string(status.kind) + ", op " + std::to_string(status.op) + ", value " +
           std::to_string(status.value) + ", limit " + std::to_string(status.limit);
  };
  bool same = want.kind == found.kind;
  if (same && want.kind != KILN_OK)
    same = want.op == found.op;
  if (same && want.kind == KILN_INDEX_OUT_OF_RANGE)
    same = want.limit == found.limit && (found.value < 0 || found.value >= found.limit);
  if (!same)
    why = "the status record says " + text(found) + ", expected " + text(want);
  return same;
}

} // namespace kiln::conformance
