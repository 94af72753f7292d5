// Dimension expressions: the integers that shapes are made of, as polynomials over named symbols.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// An integer-valued expression over named symbols ("B", "T"), kept in one normal form: a sum of products of atoms,
/// where an atom is a symbol, floordiv(expression, positive constant) or max(expression, expression). Two expressions
/// are equal exactly when their text is, so a type may carry the text. A value type; cheap to copy for small shapes.
class Dim;
Dim max(const Dim &a, const Dim &b);

class Dim {
public:
  Dim() = default; // zero
  /*implicit*/ Dim(int64_t constant);
  static Dim symbol(std::string_view name);
  /// Parses the text that str() writes: integers, names, + - *, floordiv(a, n), max(a, b), parentheses.
  /// nullopt when the text is malformed.
  static std::optional<Dim> parse(std::string_view text);

  friend Dim operator+(const Dim &a, const Dim &b);
  friend Dim operator-(const Dim &a, const Dim &b);
  friend Dim operator*(const Dim &a, const Dim &b);
  /// The larger of two, as an atom where the difference is not constant.
  friend Dim max(const Dim &a, const Dim &b);
  /// Rounds towards minus infinity; divisor > 0.
  Dim floordiv(int64_t divisor) const;
  /// The quotient when `this` is a multiple of `divisor` for all values of the symbols, as a polynomial; else nullopt.
  std::optional<Dim> exactDiv(const Dim &divisor) const;

  bool isConstant() const;
  std::optional<int64_t> constant() const;
  friend bool operator==(const Dim &a, const Dim &b);
  friend bool operator!=(const Dim &a, const Dim &b) { return !(a == b); }

  std::vector<std::string> symbols() const;
  Dim substitute(const std::map<std::string, Dim> &values) const;
  /// The value under an assignment of every symbol; nullopt when a symbol is missing or the result overflows.
  std::optional<int64_t> evaluate(const std::map<std::string, int64_t> &values) const;
  std::string str() const;

private:
  // monomial (sorted atom names, with repetition) -> coefficient, no zero coefficients. An atom that is not a plain
  // symbol is spelled by its own normal text, "floordiv(T+1, 2)".
  std::map<std::vector<std::string>, int64_t> terms_;
};

} // namespace kiln
