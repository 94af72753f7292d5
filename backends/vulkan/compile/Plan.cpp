#include "backends/vulkan/compile/Plan.h"
#include <algorithm>
#include <limits>

namespace kiln::vulkan {

static int64_t apply(uint32_t kind, int64_t a, int64_t b) {
  // Bounds may be larger than what fits: they then count as "too large", never as something small.
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  int64_t result = 0;
  switch (kind) {
  case KILN_VK_ADD:
    return __builtin_add_overflow(a, b, &result) ? most : result;
  case KILN_VK_SUB:
    return a - b;
  case KILN_VK_MUL:
    return __builtin_mul_overflow(a, b, &result) ? most : result;
  case KILN_VK_DIV:
    return b <= 0 ? 0 : a / b;
  case KILN_VK_CEIL_DIV:
    return b <= 0 ? 0 : a / b + (a % b > 0);
  case KILN_VK_MIN:
    return std::min(a, b);
  default:
    return std::max(a, b);
  }
}

std::optional<int64_t> Number::constant() const {
  if (steps.size() == 1 && steps[0].kind == KILN_VK_CONST)
    return steps[0].value;
  return std::nullopt;
}

Number Number::combine(uint32_t kind, const Number &a, const Number &b) {
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (x && y)
    return apply(kind, *x, *y);
  if (kind == KILN_VK_MUL && ((x && *x == 1) || (y && *y == 0)))
    return b;
  if ((kind == KILN_VK_MUL || kind == KILN_VK_CEIL_DIV || kind == KILN_VK_DIV) && y && *y == 1)
    return a;
  if (kind == KILN_VK_MUL && x && *x == 0)
    return a;
  if (kind == KILN_VK_ADD && x && *x == 0)
    return b;
  if (kind == KILN_VK_ADD && y && *y == 0)
    return a;
  Number result = a;
  result.steps.insert(result.steps.end(), b.steps.begin(), b.steps.end());
  result.steps.push_back({kind, 0, 0});
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
      [](const kiln_vk_step &x, const kiln_vk_step &y) { return x.kind == y.kind && x.value == y.value; });
}

int64_t Number::bound(const std::vector<int64_t> &extents) const {
  std::vector<int64_t> stack;
  for (const kiln_vk_step &step : steps) {
    if (step.kind == KILN_VK_CONST) {
      stack.push_back(step.value);
    } else if (step.kind == KILN_VK_EXTENT) {
      stack.push_back(extents[static_cast<size_t>(step.value)]);
    } else {
      int64_t b = stack.back();
      stack.pop_back();
      stack.back() = apply(step.kind, stack.back(), b);
    }
  }
  return stack.back();
}

} // namespace kiln::vulkan
