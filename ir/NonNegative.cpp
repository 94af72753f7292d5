// Which dimensions are shown to be 0 or more, whatever their symbols are.
#include "ir/Infer.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace kiln {

/// With every symbol s = s' + 1, s' >= 0, an expression without a minus sign cannot be negative.
static bool hasNoMinus(const Dim &dim) {
  std::map<std::string, Dim> shifted;
  for (const std::string &name : dim.symbols())
    shifted.emplace(name, Dim::symbol(name) + Dim(1));
  return dim.substitute(shifted).str().find('-') == std::string::npos;
}

namespace {
/// A call as it stands in a text: floordiv(a, n) or max(a, b).
struct Atom {
  std::string text;
  bool isMax = false;
  Dim first, second;
};

/// floordiv(base + rest, divisor) as it stands in a text.
struct Quotient {
  std::string text;
  Dim base;
  int64_t rest = 0, divisor = 1;
};

/// An expression as rest + factor * atom, of which is known on which side of 0 the factor is.
struct Split {
  Dim rest, factor;
  bool isAdded = false;
};
} // namespace

/// The calls of an expression that stand in no other one, or, of floordiv alone, in no other floordiv; each once.
static std::vector<Atom> atomsOf(const std::string &text, bool quotientsAlone = false) {
  std::vector<Atom> out;
  for (size_t open = 0; (open = text.find(quotientsAlone ? "floordiv(" : "(", open)) != std::string::npos;) {
    open = text.find('(', open);
    size_t begin = open, end = open + 1, comma = 0;
    while (begin > 0 && llvm::isAlpha(text[begin - 1]))
      --begin;
    for (int depth = 1; end < text.size() && depth > 0; ++end) {
      depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
      comma = depth == 1 && text[end] == ',' && comma == 0 ? end : comma;
    }
    std::string name = text.substr(begin, open - begin), whole = text.substr(begin, end - begin);
    std::optional<Dim> first = comma ? Dim::parse(text.substr(open + 1, comma - open - 1)) : std::nullopt,
                       second = comma ? Dim::parse(text.substr(comma + 1, end - comma - 2)) : std::nullopt;
    bool isNew = llvm::none_of(out, [&](const Atom &other) { return other.text == whole; });
    if (first && second && isNew && (name == "max" || name == "floordiv"))
      out.push_back({whole, name == "max", *first, *second});
    open = end;
  }
  return out;
}

static std::vector<Quotient> quotientsOf(const std::string &text) {
  std::vector<Quotient> out;
  for (const Atom &atom : atomsOf(text, /*quotientsAlone=*/true)) {
    std::map<std::string, int64_t> zeros;
    for (const std::string &symbol : atom.first.symbols())
      zeros[symbol] = 0;
    std::optional<int64_t> rest = atom.first.evaluate(zeros);
    if (int64_t divisor = atom.second.constant().value_or(0); rest && divisor > 0)
      out.push_back({atom.text, atom.first - Dim(*rest), *rest, divisor});
  }
  return out;
}

/// At the text of an atom, wherever it stands.
static std::optional<Split> splitAt(const std::string &text, const std::string &atom) {
  const std::string name = "atom_";
  std::string open = text;
  for (size_t at = 0; (at = open.find(atom, at)) != std::string::npos;)
    open.replace(at, atom.size(), name);
  std::optional<Dim> parsed = Dim::parse(open);
  if (!parsed)
    return std::nullopt;
  Dim rest = parsed->substitute({{name, Dim(0)}});
  Dim factor = parsed->substitute({{name, Dim(1)}}) - rest;
  bool isAdded = hasNoMinus(factor);
  if (*parsed != rest + factor * Dim::symbol(name) || !(isAdded || hasNoMinus(Dim(0) - factor)))
    return std::nullopt;
  return Split{rest, factor, isAdded};
}

/// Quotients of neighbours differ by little: floordiv(N+2, 3) is floordiv(N, 3) or one more. An expression that is at
/// most `dim`, with one quotient less; nullopt where no two are neighbours.
static std::optional<Dim> withoutNeighbour(const Dim &dim) {
  std::string text = dim.str();
  std::vector<Quotient> quotients = quotientsOf(text);
  for (const Quotient &large : quotients)
    for (const Quotient &small : quotients) {
      if (large.divisor != small.divisor || large.base != small.base || large.rest <= small.rest)
        continue;
      std::optional<Split> split = splitAt(text, large.text);
      std::optional<Dim> base = Dim::parse(small.text);
      if (!split || !split->factor.constant() || !base)
        continue;
      int64_t most = (large.rest - small.rest + large.divisor - 1) / large.divisor;
      return split->rest + split->factor * (*base + Dim(split->isAdded ? 0 : most));
    }
  return std::nullopt;
}

/// One atom after the other is replaced by what it is at least or, with a minus in front, at most: of n * floordiv(a,
/// n) that is a - (n - 1) and a, of max(a, b) either of them and both. `left`: how many more expressions are looked at.
static bool isShown(const Dim &dim, int &left) {
  if (hasNoMinus(dim))
    return true;
  if (--left < 0)
    return false;
  if (std::optional<Dim> neighbour = withoutNeighbour(dim); neighbour && isShown(*neighbour, left))
    return true;
  std::string text = dim.str();
  for (const Atom &atom : atomsOf(text)) {
    std::optional<Split> split = splitAt(text, atom.text);
    if (!split)
      continue;
    auto with = [&](const Dim &rest, const Dim &bound) { return isShown(rest + split->factor * bound, left); };
    if (atom.isMax) {
      bool first = with(split->rest, atom.first);
      if (first && split->isAdded)
        return true;
      if (first != split->isAdded && with(split->rest, atom.second))
        return true;
    } else if (with(split->rest * atom.second, split->isAdded ? atom.first - atom.second + Dim(1) : atom.first)) {
      return true;
    }
  }
  return false;
}

bool isNonNegative(const Dim &dim) {
  int left = 40;
  return isShown(dim, left);
}

} // namespace kiln
