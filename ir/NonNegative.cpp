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
/// floordiv(base + rest, divisor) as it stands in a text.
struct Quotient {
  std::string text;
  Dim base;
  int64_t rest = 0, divisor = 1;
};
} // namespace

/// The quotients of an expression that no other one holds, each once.
static std::vector<Quotient> quotientsOf(const std::string &text) {
  std::vector<Quotient> out;
  for (size_t at = 0; (at = text.find("floordiv(", at)) != std::string::npos;) {
    size_t end = at + 9, comma = 0;
    for (int depth = 1; end < text.size() && depth > 0; ++end) {
      depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
      comma = depth == 1 && text[end] == ',' ? end : comma;
    }
    std::optional<Dim> whole = Dim::parse(text.substr(at + 9, comma - at - 9)),
                       divisor = Dim::parse(text.substr(comma + 1, end - comma - 2));
    std::map<std::string, int64_t> zeros;
    for (const std::string &symbol : whole ? whole->symbols() : std::vector<std::string>())
      zeros[symbol] = 0;
    std::optional<int64_t> rest = whole ? whole->evaluate(zeros) : std::nullopt;
    Quotient quotient{text.substr(at, end - at), Dim(), rest.value_or(0),
                      divisor ? divisor->constant().value_or(0) : 0};
    bool isNew = llvm::none_of(out, [&](const Quotient &other) { return other.text == quotient.text; });
    if (rest && quotient.divisor > 0 && isNew) {
      quotient.base = *whole - Dim(*rest);
      out.push_back(std::move(quotient));
    }
    at = end;
  }
  return out;
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
      std::string open = text;
      for (size_t at = 0; (at = open.find(large.text, at)) != std::string::npos;)
        open.replace(at, large.text.size(), "quotient'");
      std::replace(open.begin(), open.end(), '\'', '_');
      std::optional<Dim> parsed = Dim::parse(open), base = Dim::parse(small.text);
      if (!parsed || !base)
        continue;
      const std::string name = "quotient_";
      Dim zero = parsed->substitute({{name, Dim(0)}});
      std::optional<int64_t> factor = (parsed->substitute({{name, Dim(1)}}) - zero).constant();
      if (!factor || *parsed != zero + Dim(*factor) * Dim::symbol(name))
        continue;
      int64_t most = (large.rest - small.rest + large.divisor - 1) / large.divisor;
      return zero + Dim(*factor) * (*base + Dim(*factor < 0 ? most : 0));
    }
  return std::nullopt;
}

namespace {
/// floordiv(a, n) or max(a, b) as it stands in a text.
struct Atom {
  std::string text;
  bool isMax = false;
  Dim first, second;
};

/// An expression as rest + factor * atom, of which is known on which side of 0 the factor is.
struct Split {
  Dim rest, factor;
  bool isAdded = false;
};
} // namespace

/// The outermost ones of an expression, each once.
static std::vector<Atom> atomsOf(const std::string &text) {
  std::vector<Atom> out;
  for (size_t open = 0; (open = text.find('(', open)) != std::string::npos;) {
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

static std::optional<Split> splitAt(const std::string &text, const Atom &atom) {
  const std::string name = "atom_";
  std::string open = text;
  for (size_t at = 0; (at = open.find(atom.text, at)) != std::string::npos;)
    open.replace(at, atom.text.size(), name);
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
    std::optional<Split> split = splitAt(text, atom);
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
