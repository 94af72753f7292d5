// Polynomials parsed, added, multiplied, divided, bounded and printed.

#include "runtime/support/Dim.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace kiln {

namespace {

using Monomial = std::vector<std::string>;

bool isName(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }

/// Splits "floordiv(a, b)" or "max(a, b)" at its top-level comma; nullopt for a plain symbol.
struct DimCall {
  std::string function;
  Dim first, second;
};

std::optional<DimCall> splitCall(std::string_view atom) {
  size_t open = atom.find('(');
  if (open == std::string_view::npos)
    return std::nullopt;
  int depth = 0;
  for (size_t i = open; i < atom.size(); ++i) {
    depth += atom[i] == '(' ? 1 : atom[i] == ')' ? -1 : 0;
    if (depth == 1 && atom[i] == ',') {
      std::optional<Dim> first = Dim::parse(atom.substr(open + 1, i - open - 1));
      std::optional<Dim> second = Dim::parse(atom.substr(i + 1, atom.size() - i - 2));
      if (!first || !second)
        return std::nullopt;
      return DimCall{std::string(atom.substr(0, open)), *first, *second};
    }
  }
  return std::nullopt;
}

/// Set by an operation whose coefficient does not fit 64 bits, which then saturates; the parser refuses such text.
thread_local bool overflowed = false;

int64_t saturated(bool negative) {
  overflowed = true;
  return negative ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? saturated(a < 0) : sum;
}

int64_t multiply(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? saturated((a < 0) != (b < 0)) : product;
}

class Parser {
public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Dim> run() {
    bool before = std::exchange(overflowed, false);
    std::optional<Dim> result = sum();
    skipSpace();
    if (at_ != text_.size() || overflowed)
      result = std::nullopt;
    overflowed = before;
    return result;
  }

private:
  void skipSpace() {
    while (at_ < text_.size() && text_[at_] == ' ')
      ++at_;
  }
  bool take(char c) {
    skipSpace();
    if (at_ >= text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }

  std::optional<Dim> sum() {
    if (++depth_ > 64)
      return std::nullopt;
    bool negative = take('-');
    std::optional<Dim> result = product();
    if (result && negative)
      result = Dim(0) - *result;
    while (result) {
      bool plus = take('+');
      if (!plus && !take('-'))
        break;
      std::optional<Dim> next = product();
      if (!next)
        return std::nullopt;
      result = plus ? *result + *next : *result - *next;
    }
    --depth_;
    return result;
  }

  std::optional<Dim> product() {
    std::optional<Dim> result = atom();
    while (result && take('*')) {
      std::optional<Dim> next = atom();
      if (!next)
        return std::nullopt;
      result = *result * *next;
    }
    return result;
  }

  std::optional<Dim> atom() {
    if (take('(')) {
      std::optional<Dim> result = sum();
      return result && take(')') ? result : std::nullopt;
    }
    skipSpace();
    size_t begin = at_;
    if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      int64_t value = 0;
      for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
          return std::nullopt;
      return Dim(value);
    }
    while (at_ < text_.size() && isName(text_[at_]))
      ++at_;
    if (at_ == begin)
      return std::nullopt;
    std::string name(text_.substr(begin, at_ - begin));
    if (!take('('))
      return Dim::symbol(name);
    std::optional<Dim> first = sum();
    if (!first || !take(','))
      return std::nullopt;
    std::optional<Dim> second = sum();
    if (!second || !take(')'))
      return std::nullopt;
    if (name == "max")
      return max(*first, *second);
    std::optional<int64_t> divisor = second->constant();
    if (name == "floordiv" && divisor && *divisor > 0)
      return first->floordiv(*divisor);
    return std::nullopt;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

int64_t floorDivide(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }

} // namespace

Dim::Dim(int64_t constant) {
  if (constant != 0)
    terms_[{}] = constant;
}

Dim Dim::symbol(std::string_view name) {
  Dim result;
  result.terms_[{std::string(name)}] = 1;
  return result;
}

std::optional<Dim> Dim::parse(std::string_view text) { return Parser(text).run(); }

Dim operator+(const Dim &a, const Dim &b) {
  Dim result = a;
  for (const auto &[monomial, coefficient] : b.terms_) {
    int64_t &slot = result.terms_[monomial];
    slot = add(slot, coefficient);
    if (slot == 0)
      result.terms_.erase(monomial);
  }
  return result;
}

Dim operator-(const Dim &a, const Dim &b) { return a + Dim(-1) * b; }

Dim operator*(const Dim &a, const Dim &b) {
  Dim result;
  for (const auto &[left, leftCoefficient] : a.terms_)
    for (const auto &[right, rightCoefficient] : b.terms_) {
      Monomial product;
      std::merge(left.begin(), left.end(), right.begin(), right.end(), std::back_inserter(product));
      int64_t &slot = result.terms_[product];
      slot = add(slot, multiply(leftCoefficient, rightCoefficient));
      if (slot == 0)
        result.terms_.erase(product);
    }
  return result;
}

Dim Dim::floordiv(int64_t divisor) const {
  if (divisor == 1)
    return *this;
  // Multiples of the divisor leave the floor: floordiv(4*T + r, 4) = T + floordiv(r, 4).
  Dim whole, rest;
  for (const auto &[monomial, coefficient] : terms_) {
    int64_t quotient = floorDivide(coefficient, divisor);
    if (!monomial.empty() && coefficient % divisor != 0)
      quotient = 0;
    if (quotient != 0)
      whole.terms_[monomial] = quotient;
    if (coefficient - quotient * divisor != 0)
      rest.terms_[monomial] = coefficient - quotient * divisor;
  }
  if (std::optional<int64_t> value = rest.constant())
    return whole + Dim(floorDivide(*value, divisor));
  return whole + symbol("floordiv(" + rest.str() + ", " + std::to_string(divisor) + ")");
}

Dim max(const Dim &a, const Dim &b) {
  if (std::optional<int64_t> difference = (a - b).constant())
    return *difference >= 0 ? a : b;
  std::string left = a.str(), right = b.str();
  if (right < left)
    std::swap(left, right);
  return Dim::symbol("max(" + left + ", " + right + ")");
}

std::optional<Dim> Dim::exactDiv(const Dim &divisor) const {
  if (divisor.terms_.empty())
    return std::nullopt;
  // Polynomial long division by the leading term; the map's order is a monomial order good enough for the exact case.
  auto lead = std::prev(divisor.terms_.end());
  Dim quotient, rest = *this;
  for (int guard = 0; !rest.terms_.empty(); ++guard) {
    if (guard > 1000)
      return std::nullopt;
    bool reduced = false;
    for (auto term = rest.terms_.rbegin(); term != rest.terms_.rend(); ++term) {
      const auto &[monomial, coefficient] = *term;
      if (coefficient % lead->second != 0 ||
          !std::includes(monomial.begin(), monomial.end(), lead->first.begin(), lead->first.end()))
        continue;
      Dim factor;
      Monomial left;
      std::set_difference(monomial.begin(), monomial.end(), lead->first.begin(), lead->first.end(),
                          std::back_inserter(left));
      factor.terms_[left] = coefficient / lead->second;
      quotient = quotient + factor;
      rest = rest - factor * divisor;
      reduced = true;
      break;
    }
    if (!reduced)
      return std::nullopt;
  }
  return quotient;
}

bool Dim::isConstant() const { return constant().has_value(); }

std::optional<int64_t> Dim::constant() const {
  if (terms_.empty())
    return 0;
  if (terms_.size() == 1 && terms_.begin()->first.empty())
    return terms_.begin()->second;
  return std::nullopt;
}

bool operator==(const Dim &a, const Dim &b) { return a.terms_ == b.terms_; }

std::vector<std::string> Dim::symbols() const {
  std::set<std::string> names;
  for (const auto &[monomial, coefficient] : terms_)
    for (const std::string &atom : monomial) {
      if (std::optional<DimCall> call = splitCall(atom)) {
        for (const Dim *part : {&call->first, &call->second})
          for (const std::string &name : part->symbols())
            names.insert(name);
      } else {
        names.insert(atom);
      }
    }
  return {names.begin(), names.end()};
}

Dim Dim::substitute(const std::map<std::string, Dim> &values) const {
  Dim result;
  for (const auto &[monomial, coefficient] : terms_) {
    Dim product(coefficient);
    for (const std::string &atom : monomial) {
      if (std::optional<DimCall> call = splitCall(atom)) {
        Dim first = call->first.substitute(values), second = call->second.substitute(values);
        product = product * (call->function == "max" ? max(first, second) : first.floordiv(*second.constant()));
      } else {
        auto found = values.find(atom);
        product = product * (found != values.end() ? found->second : symbol(atom));
      }
    }
    result = result + product;
  }
  return result;
}

std::optional<int64_t> Dim::evaluate(const std::map<std::string, int64_t> &values) const {
  int64_t result = 0;
  for (const auto &[monomial, coefficient] : terms_) {
    int64_t product = coefficient;
    for (const std::string &atom : monomial) {
      std::optional<int64_t> factor;
      if (std::optional<DimCall> call = splitCall(atom)) {
        std::optional<int64_t> first = call->first.evaluate(values), second = call->second.evaluate(values);
        if (!first || !second)
          return std::nullopt;
        factor = call->function == "max" ? std::max(*first, *second) : floorDivide(*first, *second);
      } else if (auto found = values.find(atom); found != values.end()) {
        factor = found->second;
      }
      if (!factor || __builtin_mul_overflow(product, *factor, &product))
        return std::nullopt;
    }
    if (__builtin_add_overflow(result, product, &result))
      return std::nullopt;
  }
  return result;
}

std::string Dim::str() const {
  if (terms_.empty())
    return "0";
  std::string text;
  // Higher monomials first, the constant last: "4*T+1".
  for (auto term = terms_.rbegin(); term != terms_.rend(); ++term) {
    const auto &[monomial, coefficient] = *term;
    int64_t magnitude = coefficient < 0 ? -coefficient : coefficient;
    if (coefficient < 0)
      text += "-";
    else if (!text.empty())
      text += "+";
    if (monomial.empty() || magnitude != 1)
      text += std::to_string(magnitude) + (monomial.empty() ? "" : "*");
    for (size_t i = 0; i < monomial.size(); ++i)
      text += (i ? "*" : "") + monomial[i];
  }
  return text;
}

} // namespace kiln
