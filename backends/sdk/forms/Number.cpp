// Numbers folded where their operands are known, evaluated at a launch, and printed.

#include "backends/sdk/forms/Number.h"
#include <algorithm>
#include <limits>

namespace kiln::sdk {

static int64_t apply(Number::Step::Kind kind, int64_t a, int64_t b) {
  // Bounds may be larger than what fits: they then count as "too large", never as something small.
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  int64_t result = 0;
  switch (kind) {
  case Number::Step::Add:
    return __builtin_add_overflow(a, b, &result) ? most : result;
  case Number::Step::Sub:
    return a - b;
  case Number::Step::Mul:
    return __builtin_mul_overflow(a, b, &result) ? most : result;
  case Number::Step::Div:
    return b <= 0 ? 0 : a / b;
  case Number::Step::CeilDiv:
    return b <= 0 ? 0 : a / b + (a % b > 0);
  case Number::Step::Min:
    return std::min(a, b);
  default:
    return std::max(a, b);
  }
}

std::optional<int64_t> Number::constant() const {
  if (steps.size() == 1 && steps[0].kind == Step::Constant)
    return steps[0].value;
  return std::nullopt;
}

Number Number::combine(Step::Kind kind, const Number &a, const Number &b) {
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (x && y)
    return apply(kind, *x, *y);
  if (kind == Step::Mul && ((x && *x == 1) || (y && *y == 0)))
    return b;
  if ((kind == Step::Mul || kind == Step::CeilDiv || kind == Step::Div) && y && *y == 1)
    return a;
  if (kind == Step::Mul && x && *x == 0)
    return a;
  if (kind == Step::Add && x && *x == 0)
    return b;
  if (kind == Step::Add && y && *y == 0)
    return a;
  Number result = a;
  result.steps.insert(result.steps.end(), b.steps.begin(), b.steps.end());
  result.steps.push_back({kind, 0});
  return result;
}

Number Number::of(const std::vector<kiln_extent> &dims) {
  Number product(1);
  for (const kiln_extent &dim : dims)
    product = product * Number(dim);
  return product;
}

bool operator==(const Number &a, const Number &b) {
  return std::equal(
      a.steps.begin(), a.steps.end(), b.steps.begin(), b.steps.end(),
      [](const Number::Step &x, const Number::Step &y) { return x.kind == y.kind && x.value == y.value; });
}

int64_t Number::at(const std::vector<int64_t> &extents) const {
  std::vector<int64_t> stack;
  for (const Step &step : steps) {
    if (step.kind == Step::Constant) {
      stack.push_back(step.value);
    } else if (step.kind == Step::Extent) {
      stack.push_back(extents[static_cast<size_t>(step.value)]);
    } else {
      int64_t b = stack.back();
      stack.pop_back();
      stack.back() = apply(step.kind, stack.back(), b);
    }
  }
  return stack.back();
}

std::string Number::text(const std::string &suffix, const std::function<std::string(int64_t)> &extent) const {
  std::vector<std::string> stack;
  for (const Step &step : steps) {
    if (step.kind == Step::Constant || step.kind == Step::Extent) {
      stack.push_back(step.kind == Step::Extent ? extent(step.value) : std::to_string(step.value) + suffix);
      continue;
    }
    std::string b = std::move(stack.back());
    stack.pop_back();
    std::string &a = stack.back();
    const char *sign = step.kind == Step::Add   ? " + "
                       : step.kind == Step::Sub ? " - "
                       : step.kind == Step::Mul ? " * "
                                                : " / ";
    if (step.kind == Step::Min || step.kind == Step::Max)
      a = (step.kind == Step::Min ? "min(" : "max(") + a + ", " + b + ")";
    else if (step.kind == Step::CeilDiv)
      a = "((" + a + " + " + b + " - 1) / " + b + ")";
    else
      a = "(" + a + sign + b + ")";
  }
  return stack.back();
}

} // namespace kiln::sdk
