// Types in signatures: evaluation, and the unification of symbolic dimensions with what a call hands over.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Limits.h"
#include "frontend/language/Recipe.h"
#include "ir/Infer.h"

#include "llvm/ADT/StringExtras.h"

#include <set>

namespace kiln::language {

/// Unknown names of a dimension expression carry this prefix, which no symbol has ("new." would be a data source's).
static constexpr std::string_view unknownPrefix = "?";

static void collectNames(const Expr &expr, std::vector<const Expr *> &out) {
  if (expr.kind == ExprKind::Name)
    out.push_back(&expr);
  for (const ExprPtr &child : expr.children)
    if (child)
      collectNames(*child, out);
  for (const Argument &argument : expr.arguments)
    collectNames(*argument.value, out);
}

/// True when the name stands for a number here, so that a dimension called by it is that number.
static bool isKnownNumber(Elaborator &e, const Expr &name, const Frame &frame) {
  // A fraction or a string is no dimension, and evaluating it says so; other things may share a name with one.
  auto integer = [](const Value *value) {
    return value && (value->isNumber() || value->kind == Value::Kind::String || value->isList() || value->isError());
  };
  for (const Frame *at = &frame; at; at = at->outer()) {
    if (auto found = at->dims.find(name.text); found != at->dims.end())
      return true;
    if (auto found = at->locals.find(name.text); found != at->locals.end() && integer(&found->second.value))
      return true;
  }
  if (frame.self)
    if (const Value *found = frame.self->find(name.text))
      return integer(found);
  if (std::optional<Value> found = e.global(name.text, name.range.file))
    return integer(&*found);
  return false;
}

namespace {
/// A dimension that is linear in one symbol: factor * symbol + rest.
struct Linear {
  Dim factor, rest;
};
} // namespace

/// The dimension as factor * symbol + rest, where it is linear in the symbol.
static std::optional<Linear> linearIn(const Dim &dim, const std::string &symbol) {
  Dim rest = dim.substitute({{symbol, Dim(0)}});
  Dim factor = dim.substitute({{symbol, Dim(1)}}) - rest;
  if (dim != factor * Dim::symbol(symbol) + rest)
    return std::nullopt;
  return Linear{std::move(factor), std::move(rest)};
}

namespace {
/// factor * symbol + rest with numbers, the factor positive: such a dimension's bound is one of the symbol.
struct OfOneSymbol {
  std::string symbol;
  int64_t factor, rest;
};
} // namespace

static std::optional<OfOneSymbol> ofOneSymbol(const Dim &dim) {
  std::vector<std::string> symbols = dim.symbols();
  std::optional<Linear> linear = symbols.size() == 1 ? linearIn(dim, symbols[0]) : std::nullopt;
  std::optional<int64_t> factor = linear ? linear->factor.constant() : std::nullopt;
  std::optional<int64_t> rest = linear ? linear->rest.constant() : std::nullopt;
  if (!factor || !rest || *factor <= 0)
    return std::nullopt;
  return OfOneSymbol{symbols[0], *factor, *rest};
}

std::optional<Dtype> typeBegin(Elaborator &e, const Value &value, Range range) {
  if (value.kind == Value::Kind::Dtype)
    return value.dtype;
  if (!value.isError())
    e.error(range, "a type begins with a dtype; this is " + describe(value)).withHelp("write f32[B, T], for example");
  return std::nullopt;
}

std::optional<std::vector<Value>> dimensionsOf(Elaborator &e, const Value &value, Range range) {
  std::vector<Value> dims = value.isList() ? *value.items : std::vector<Value>{value};
  for (const Value &dim : dims) {
    if (dim.isError())
      return std::nullopt;
    if (!dim.isInteger()) {
      Diagnostic &diagnostic = e.error(range, "a dimension is a whole number; this is " + describe(dim));
      if (dim.isTensor() && isFloat(dim.tensorType().getElementType()))
        diagnostic.withHelp("B // 2 and 5 * B // 4 are dimensions; B / 2 is computed in the run");
      return std::nullopt;
    }
    if (std::optional<int64_t> constant = dim.integer.constant();
        constant && (*constant < 0 || *constant > maxExtent)) {
      e.error(range, "a dimension of " + std::to_string(*constant) + " is not possible")
          .note(dim.origin, "it comes from here");
      return std::nullopt;
    }
  }
  return dims;
}

/// A dimension as written: its value, in which names that are new stand with the prefix.
struct WrittenDim {
  Dim value;
  std::vector<const Expr *> unknown;
  const Expr *expr = nullptr, *least = nullptr, *bound = nullptr; // `least <= expr <= bound`
  Range origin;
  bool failed = false;
};

/// The dimension; where it is a tuple of numbers, as the kernel of Conv2d(4, 8, (3, 5)), all of them.
static std::vector<WrittenDim> evalDims(Elaborator &e, const Expr &expr, Frame &frame) {
  WrittenDim dim;
  DimensionParts parts(expr);
  dim.expr = parts.dim;
  dim.least = parts.least;
  dim.bound = parts.bound;
  std::vector<const Expr *> names;
  collectNames(*dim.expr, names);
  for (const Expr *name : names) {
    if (isKnownNumber(e, *name, frame) || findBuiltin(name->text, Space::General))
      continue;
    if (std::find_if(dim.unknown.begin(), dim.unknown.end(),
                     [&](const Expr *other) { return other->text == name->text; }) == dim.unknown.end())
      dim.unknown.push_back(name);
  }
  for (const Expr *name : dim.unknown)
    frame.dims[name->text] = {Value::integerOf(Dim::symbol(std::string(unknownPrefix) + name->text)), name->range};
  Value value = e.eval(*dim.expr, frame);
  for (const Expr *name : dim.unknown)
    frame.dims.erase(name->text);
  std::optional<std::vector<Value>> numbers = dimensionsOf(e, value, dim.expr->range);
  if (!numbers || (numbers->size() != 1 && !dim.unknown.empty())) {
    if (numbers)
      e.error(dim.expr->range, "a dimension with a new name in it is one number; this is " + describe(value));
    dim.failed = true;
    return {dim};
  }
  std::vector<WrittenDim> dims;
  for (const Value &number : *numbers) {
    dim.value = number.integer;
    dim.origin = number.origin ? number.origin : dim.expr->range;
    dims.push_back(dim);
  }
  return dims;
}

/// Solves written == actual for the one unknown name in it; nullopt when that needs more than one division.
static std::optional<std::pair<const Expr *, Dim>> solve(const WrittenDim &written, const Dim &actual) {
  if (written.unknown.size() != 1)
    return std::nullopt;
  std::string symbol = std::string(unknownPrefix) + written.unknown[0]->text;
  std::optional<Linear> linear = linearIn(written.value, symbol);
  std::optional<Dim> quotient = linear ? (actual - linear->rest).exactDiv(linear->factor) : std::nullopt;
  if (!quotient)
    return std::nullopt;
  return std::pair(written.unknown[0], *quotient);
}

/// The dimension where every name in it is known; an error value, without a report, where one is not.
Value Elaborator::knownDim(const Expr &expr, Frame &frame) {
  std::vector<const Expr *> names;
  collectNames(expr, names);
  for (const Expr *name : names)
    if (!isKnownNumber(*this, *name, frame) && !findBuiltin(name->text, Space::General))
      return Value::error();
  return eval(expr, frame);
}

std::optional<TypeInfo> Elaborator::evalType(const Expr &expr, Frame &frame) {
  TypeInfo type;
  type.range = expr.range;
  const Expr &base = expr.kind == ExprKind::Index ? expr.child(0) : expr;
  Value dtype = eval(base, frame);
  if (dtype.isError())
    return std::nullopt;
  if (dtype.kind == Value::Kind::Type && expr.kind != ExprKind::Index)
    return *dtype.type;
  std::optional<Dtype> begin = typeBegin(*this, dtype, base.range);
  if (!begin)
    return std::nullopt;
  type.dtype = *begin;
  bool ok = true;
  for (size_t i = 1; expr.kind == ExprKind::Index && i < expr.children.size(); ++i) {
    const Expr &child = expr.child(i);
    std::optional<std::vector<Value>> values = dimensionsOf(*this, eval(child, frame), child.range);
    ok &= values.has_value();
    for (const Value &value : values ? *values : std::vector<Value>()) {
      type.dims.push_back(value.integer);
      type.origins.push_back({value.origin ? value.origin : child.range});
    }
  }
  ok = ok && rankFits(static_cast<int64_t>(type.dims.size()), expr.range);
  return ok ? std::optional(std::move(type)) : std::nullopt;
}

/// Of floordiv(floordiv(H, 2), 2) within a dimension's text: H, and 4.
static std::optional<std::pair<std::string, int64_t>> roundedDown(const std::string &text) {
  const std::string opening = "floordiv(";
  size_t at = text.rfind(opening), divisions = 1;
  if (at == std::string::npos)
    return std::nullopt;
  size_t end = text.find(',', at);
  std::string symbol = text.substr(at + opening.size(), end - at - opening.size());
  for (; at >= opening.size() && text.compare(at - opening.size(), opening.size(), opening) == 0; at -= opening.size())
    ++divisions;
  int64_t factor = 1;
  for (; divisions > 0 && text.compare(end, 2, ", ") == 0; --divisions) {
    size_t digits = text.find_first_not_of("0123456789", end + 2);
    int64_t divisor = 0;
    if (digits == std::string::npos || llvm::StringRef(text).slice(end + 2, digits).getAsInteger(10, divisor) ||
        divisor < 1 || divisor > maxExtent / factor)
      return std::nullopt;
    factor *= divisor;
    end = digits + 1;
  }
  bool isName = llvm::all_of(symbol, [](char c) { return llvm::isAlnum(c) || c == '_'; });
  return isName && divisions == 0 ? std::optional(std::pair(symbol, factor)) : std::nullopt;
}

void Elaborator::noteDim(Diagnostic &diagnostic, const Dim &dim, Range origin) {
  if (origin)
    diagnostic.note(origin, dim.str() + " comes from here");
  if (auto rounded = roundedDown(dim.str())) {
    std::string times = std::to_string(rounded->second), name = rounded->first;
    diagnostic.withHelp("a division rounds down. Where " + name + " is a multiple of " + times +
                        " in any case, the signature may say so: " + times + "*" + name + " in place of " + name);
  }
}

bool Elaborator::provablyNonNegative(const Dim &dim) const {
  if (std::optional<int64_t> constant = dim.constant())
    return *constant >= 0;
  if (isNonNegative(dim))
    return true;
  if (!entry_)
    return false;
  // A symbol with a lower bound is s' + least - 1, and every symbol at least 1.
  auto holds = [&](Dim shifted, const std::string *leftOut) {
    for (const auto &[symbol, least] : entry_->least)
      if (!leftOut || symbol != *leftOut)
        shifted = shifted.substitute({{symbol, Dim::symbol(symbol) + Dim(least.value - 1)}});
    return isNonNegative(shifted);
  };
  if (!entry_->least.empty() && holds(dim, nullptr))
    return true;
  // With upper bounds: s = bound - s' with s' in [0, bound - 1].
  for (const std::string &symbol : dim.symbols())
    if (auto bound = entry_->bounds.find(symbol); bound != entry_->bounds.end())
      if (holds(dim.substitute({{symbol, Dim(bound->second.value + 1) - Dim::symbol(symbol)}}), &symbol))
        return true;
  return false;
}

/// A dimension of an argument that is to be at least so large. What cannot be shown of a symbol of the function is
/// asked of its callers: it becomes a bound of that function's.
bool Elaborator::constrainBelow(const Dim &dim, int64_t least, Range range, Range leastRange, const std::string &what) {
  if (std::optional<int64_t> constant = dim.constant()) {
    if (*constant >= least)
      return true;
    error(range, what + " is " + std::to_string(*constant) + "; at least " + std::to_string(least) + " is needed")
        .note(leastRange, "the bound is stated here");
    return false;
  }
  if (!entry_ || entry_->failed || provablyNonNegative(dim - Dim(least)))
    return true;
  if (std::optional<OfOneSymbol> one = ofOneSymbol(dim)) {
    int64_t limit = (least - one->rest + one->factor - 1) / one->factor;
    auto known = entry_->least.find(one->symbol);
    if (known == entry_->least.end() || !known->second.stated) {
      entry_->least[one->symbol] = {limit, leastRange, false};
      return true;
    }
    error(range, what + " is " + dim.str() + ", which may be " +
                     std::to_string(one->factor * known->second.value + one->rest) + "; at least " +
                     std::to_string(least) + " is needed")
        .note(known->second.range,
              "the bound " + one->symbol + " >= " + std::to_string(known->second.value) + " comes from here")
        .note(leastRange, "the larger bound is stated here");
    return false;
  }
  error(range, "cannot show that " + what + ", " + dim.str() + ", is at least " + std::to_string(least))
      .note(leastRange, "the bound is stated here")
      .withHelp("state bounds for the dimensions in it, as in 3 <= T <= 64");
  return false;
}

/// At least one element is there: shown here, asked of the function's callers, or checked when the program is called.
bool Elaborator::needElement(const Dim &dim, Range range, const std::string &what, Range origin) {
  if (std::optional<int64_t> constant = dim.constant(); constant && *constant < 1) {
    Diagnostic &diagnostic = error(range, what + " has no elements");
    noteDim(diagnostic, dim, origin);
    return false;
  }
  if (!entry_ || entry_->failed || provablyNonNegative(dim - Dim(1)))
    return true;
  if (ofOneSymbol(dim))
    return constrainBelow(dim, 1, range, range, what);
  entry_->nonEmpty.push_back(dim);
  return true;
}

/// The number of a bound; nullopt after an error.
std::optional<int64_t> Elaborator::boundValue(const Expr *written, Frame &frame) {
  Value bound = eval(*written, frame);
  std::optional<int64_t> number = bound.asInteger();
  if (!number && !bound.isError())
    error(written->range, "a bound is a number; this is " + describe(bound));
  return number;
}

bool Elaborator::constrain(const Dim &dim, int64_t bound, Range range, Range boundRange, const std::string &what,
                           bool stated) {
  if (std::optional<int64_t> constant = dim.constant()) {
    if (*constant <= bound)
      return true;
    error(range, what + " is " + std::to_string(*constant) + "; at most " + std::to_string(bound) + " is allowed")
        .note(boundRange, "the bound is stated here");
    return false;
  }
  if (!entry_ || entry_->failed)
    return true;
  if (std::optional<OfOneSymbol> one = ofOneSymbol(dim)) {
    int64_t limit = (bound - one->rest) / one->factor;
    auto [most, isFirst] = entry_->limits.try_emplace(one->symbol, limit);
    most->second = std::min(most->second, limit);
    auto known = entry_->bounds.find(one->symbol);
    if (known == entry_->bounds.end() || (!known->second.stated && known->second.value > limit)) {
      entry_->bounds[one->symbol] = {limit, boundRange, stated};
      return true;
    }
    if (known->second.value <= limit)
      return true;
    error(range, what + " is " + dim.str() + ", which may be " +
                     std::to_string(one->factor * known->second.value + one->rest) + "; at most " +
                     std::to_string(bound) + " is allowed")
        .note(known->second.range,
              "the bound " + one->symbol + " <= " + std::to_string(known->second.value) + " comes from here")
        .note(boundRange, "the smaller bound is stated here");
    return false;
  }
  if (provablyNonNegative(Dim(bound) - dim))
    return true;
  error(range, "cannot show that " + what + ", " + dim.str() + ", is at most " + std::to_string(bound))
      .note(boundRange, "the bound is stated here")
      .withHelp("state bounds for the dimensions in it, as in T <= 64");
  return false;
}

static std::string expectedText(Dtype dtype, const std::vector<WrittenDim> &dims, std::optional<size_t> ellipsis,
                                const Frame &frame) {
  std::string text = dtypeName(dtype);
  if (dims.empty() && !ellipsis)
    return "a scalar " + text;
  text += "[";
  bool first = true;
  auto add = [&](const std::string &part) {
    text += (first ? "" : ", ") + part;
    first = false;
  };
  for (size_t i = 0; i <= dims.size(); ++i) {
    if (ellipsis == i && frame.ellipsis)
      for (const Dim &dim : *frame.ellipsis)
        add(dim.str());
    else if (ellipsis == i)
      add("...");
    if (i < dims.size())
      add(dims[i].unknown.empty() ? dims[i].value.str() : std::string(dims[i].expr->range.text()));
  }
  return text + "]";
}

/// The dimensions of a written type, and before which of them '...' stands; false after an error.
static bool readDims(Elaborator &e, const Expr &type, Frame &frame, std::vector<WrittenDim> &written,
                     std::optional<size_t> &ellipsis) {
  for (size_t i = 1; type.kind == ExprKind::Index && i < type.children.size(); ++i) {
    if (type.child(i).kind == ExprKind::Ellipsis) {
      if (ellipsis) {
        e.error(type.child(i).range, "'...' stands only once in a type");
        return false;
      }
      ellipsis = written.size();
      continue;
    }
    for (WrittenDim &dim : evalDims(e, type.child(i), frame)) {
      if (dim.failed)
        return false;
      written.push_back(std::move(dim));
    }
  }
  return true;
}

/// The limits that are written with a dimension.
static bool keepsLimits(Elaborator &e, const WrittenDim &written, const Dim &found, Range range,
                        const std::string &which, Frame &frame) {
  if (written.least) {
    std::optional<int64_t> limit = e.boundValue(written.least, frame);
    if (!limit || !e.constrainBelow(found, *limit, range, written.least->range, which))
      return false;
  }
  if (written.bound) {
    std::optional<int64_t> limit = e.boundValue(written.bound, frame);
    if (!limit || !e.constrain(found, *limit, range, written.bound->range, which, false))
      return false;
  }
  return true;
}

bool Elaborator::bindDims(const Expr &type, const Value &tensor, Range range, Frame &frame, const std::string &what,
                          bool final) {
  const Expr &base = type.kind == ExprKind::Index ? type.child(0) : type;
  Value dtypeValue = eval(base, frame);
  if (!typeBegin(*this, dtypeValue, base.range))
    return false;
  llvm::SmallVector<Dim> actual = dimsOf(tensor.tensor);
  std::vector<WrittenDim> written;
  std::optional<size_t> ellipsis; // before this one of the written ones
  if (!readDims(*this, type, frame, written, ellipsis))
    return false;
  auto mismatch = [&](const std::string &reason) -> Diagnostic & {
    return error(range, what + " is " + typeName(tensor.tensor.getType()) + "; " +
                            expectedText(dtypeValue.dtype, written, ellipsis, frame) + " is expected" +
                            (reason.empty() ? "" : ": " + reason));
  };
  if (!matches(dtypeValue.dtype, tensor.tensorType().getElementType())) {
    mismatch("")
        .note(type.range, "the type is declared here")
        .withHelp(isClass(dtypeValue.dtype) ? "convert it: x.to(f32)"
                                            : std::string("convert it: x.to(") + dtypeName(dtypeValue.dtype) + ")");
    return false;
  }
  size_t open = ellipsis && actual.size() >= written.size() ? actual.size() - written.size() : 0;
  if (actual.size() != open + written.size()) {
    mismatch("it has " + std::to_string(actual.size()) + (actual.size() == 1 ? " axis" : " axes"))
        .note(type.range, "the type is declared here");
    return false;
  }
  if (ellipsis) {
    std::vector<Dim> dims(actual.begin() + *ellipsis, actual.begin() + *ellipsis + open);
    if (!frame.ellipsis) {
      frame.ellipsis = dims;
      for (size_t i = 0; i < open; ++i)
        frame.ellipsisOrigins.push_back({tensor.originOf(*ellipsis + i)});
    } else if (*frame.ellipsis != dims) {
      mismatch(*ellipsis == 0 ? "the leading dimensions differ" : "the dimensions at '...' differ")
          .note(type.range, "the type is declared here");
      return false;
    }
  }
  for (size_t i = 0; i < written.size(); ++i) {
    // Names bound by the axes before are known now.
    WrittenDim dim = written[i].unknown.empty() ? written[i] : evalDims(*this, *written[i].expr, frame).front();
    size_t axis = i + (ellipsis && i >= *ellipsis ? open : 0);
    const Dim &found = actual[axis];
    Range origin = tensor.originOf(axis);
    if (!dim.unknown.empty()) {
      if (auto solution = solve(dim, found)) {
        frame.dims[solution->first->text] = {Value::integerOf(solution->second, origin ? origin : range),
                                             solution->first->range};
      } else if (!final) {
        continue;
      } else {
        mismatch("no " + dim.unknown[0]->text + " makes " + std::string(dim.expr->range.text()) + " equal to " +
                 found.str())
            .note(type.range, "the type is declared here");
        return false;
      }
    } else if (dim.value != found) {
      Diagnostic &diagnostic = mismatch(found.str() + " is not " + dim.value.str());
      noteDim(diagnostic, found, origin);
      noteDim(diagnostic, dim.value, dim.origin);
      if (!dim.origin || dim.origin.file != type.range.file || dim.origin.begin < type.range.begin ||
          dim.origin.end > type.range.end)
        diagnostic.note(type.range, "the type is declared here");
      if (!found.isConstant() && dim.value.isConstant() && origin && origin.text().find("batch=") != std::string::npos)
        diagnostic.withHelp("a batch of data may be smaller than the others: name its dimension, B");
      return false;
    }
    std::string which = "the dimension " + std::string(dim.expr->range.text()) + " of " + what;
    if (!keepsLimits(*this, written[i], found, range, which, frame))
      return false;
  }
  return true;
}

bool Elaborator::bindType(const Expr &type, Binding &argument, Frame &frame, const std::string &what, bool final) {
  if (argument.value.isError())
    return false;
  if (type.kind == ExprKind::Tuple || type.kind == ExprKind::List) {
    if (!argument.value.isList() || argument.value.items->size() != type.children.size()) {
      error(argument.range, what + " is " + describe(argument.value) + "; a tuple of " +
                                std::to_string(type.children.size()) + " is expected")
          .note(type.range, "the type is declared here");
      return false;
    }
    std::vector<Value> items = *argument.value.items;
    for (size_t i = 0; i < items.size(); ++i) {
      Binding item{items[i], argument.range};
      if (!bindType(type.child(i), item, frame, what + "'s part " + std::to_string(i + 1), final))
        return false;
      items[i] = item.value;
    }
    auto names = argument.value.names;
    argument.value = Value::listOf(std::move(items));
    argument.value.names = names;
    return true;
  }
  if (argument.value.isNumber() && entry_ && type.kind == ExprKind::Name) {
    Value dtype = eval(type, frame);
    if (dtype.kind == Value::Kind::Dtype) {
      std::optional<Value> tensor = toTensor(argument.value, argument.range, elementType(dtype.dtype, &context_));
      if (!tensor)
        return false;
      argument.value = *tensor;
    }
  }
  if (!argument.value.isTensor()) {
    error(argument.range,
          what + " is " + describe(argument.value) + "; a tensor " + std::string(type.range.text()) + " is expected")
        .note(type.range, "the type is declared here");
    return false;
  }
  return bindDims(type, argument.value, argument.range, frame, what, final);
}

bool Elaborator::bindSignature(const Stmt &function, std::vector<Binding> &arguments, Frame &frame,
                               const std::string &what) {
  auto typed = [&](size_t i) {
    const Parameter &parameter = function.parameters[i];
    return parameter.type && !(arguments[i].value.isNone() && parameter.initial);
  };
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!typed(i))
      frame.locals[function.parameters[i].name] = arguments[i];
  // Twice: an argument may decide a name that one before it needs.
  for (bool final : {false, true}) {
    bool ok = true;
    for (size_t i = 0; i < arguments.size(); ++i)
      if (typed(i))
        ok &= bindType(*function.parameters[i].type, arguments[i], frame,
                       what + "'s argument '" + function.parameters[i].name + "'", final);
    if (!ok)
      return false;
  }
  for (size_t i = 0; i < arguments.size(); ++i)
    frame.locals[function.parameters[i].name] = {arguments[i].value, function.parameters[i].range};
  return true;
}

} // namespace kiln::language
