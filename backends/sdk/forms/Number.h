// A number that is known when a launch's extents are.
#pragma once

#include "../Graph.h"
#include <functional>
#include <optional>
#include <vector>

namespace kiln::sdk {

/// An expression over a launch's extents in postfix notation. Constants fold.
class Number {
public:
  struct Step {
    enum Kind : uint32_t { Constant, Extent, Add, Sub, Mul, Div, CeilDiv, Min, Max } kind;
    int64_t value; // the constant; the extent's slot
  };
  Number(int64_t constant = 0) : steps{{Step::Constant, constant}} {}
  Number(const kiln_extent &extent)
      : steps{extent.slot < 0 ? Step{Step::Constant, extent.value} : Step{Step::Extent, extent.slot}} {}
  /// As `steps` of another say.
  explicit Number(std::vector<Step> steps) : steps(std::move(steps)) {}
  /// The product.
  static Number of(const std::vector<kiln_extent> &dims);

  friend Number operator+(const Number &a, const Number &b) { return combine(Step::Add, a, b); }
  friend Number operator*(const Number &a, const Number &b) { return combine(Step::Mul, a, b); }
  friend Number ceilDiv(const Number &a, const Number &b) { return combine(Step::CeilDiv, a, b); }
  friend Number min(const Number &a, const Number &b) { return combine(Step::Min, a, b); }
  friend Number max(const Number &a, const Number &b) { return combine(Step::Max, a, b); }
  friend bool operator==(const Number &a, const Number &b);

  std::optional<int64_t> constant() const;
  /// With these extents. Where the expression grows with its extents, as all here do, their bounds give its maximum.
  int64_t at(const std::vector<int64_t> &extents) const;

  /// In the words of C-like languages, in 64 bits: constants with that suffix, extents as `extent` spells them.
  std::string text(const std::string &longSuffix, const std::function<std::string(int64_t slot)> &extent) const;

  std::vector<Step> steps;

private:
  static Number combine(Step::Kind kind, const Number &a, const Number &b);
};

} // namespace kiln::sdk
