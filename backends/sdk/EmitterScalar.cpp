// Types, literals and elementwise ops.
#include "Emitter.h"
#include "FunctionTable.h"
#include "Functions.h"
#include <cmath>
#include <cstdio>
#include <limits>

namespace kiln::sdk {

//===-- Types -----------------------------------------------------------------------------------------------------===//

static bool isBool(kiln_dtype dtype) { return dtype == KILN_BOOL; }

std::string Emitter::registerType(kiln_dtype dtype) const {
  switch (dtype) {
  case KILN_F64:
    return language().float64;
  case KILN_F32:
  case KILN_BF16:
  case KILN_F16:
    return language().float32;
  case KILN_I64:
    return language().int64;
  case KILN_U8:
  case KILN_U32:
    return language().uint32;
  case KILN_BOOL:
    return language().boolean;
  default:
    return language().int32;
  }
}

std::string Emitter::unsignedType(kiln_dtype dtype) const {
  return dtype == KILN_I64 ? language().uint64 : language().uint32;
}

std::string Emitter::storageType(kiln_dtype dtype) const {
  switch (dtype) {
  case KILN_BF16:
  case KILN_F16:
    return language().uint16;
  case KILN_I8:
    return language().int8;
  case KILN_U8:
  case KILN_BOOL:
    return language().uint8;
  default:
    return registerType(dtype);
  }
}

std::string Emitter::indexType() const { return registerType(options.wideIndex ? KILN_I64 : KILN_I32); }

kiln_dtype Emitter::accumulator(kiln_dtype dtype) { return dtype == KILN_BF16 || dtype == KILN_F16 ? KILN_F32 : dtype; }

std::string Emitter::cast(const std::string &type, const std::string &text) const {
  return language().constructs ? type + "(" + text + ")" : "((" + type + ")(" + text + "))";
}

std::string Emitter::fromStorage(kiln_dtype dtype, const std::string &text) {
  switch (dtype) {
  case KILN_BF16:
  case KILN_F16:
    return function(dtype == KILN_BF16 ? "bf16_f32" : "f16_f32") + "(" + cast(unsignedType(KILN_U32), text) + ")";
  case KILN_I8:
  case KILN_U8:
    return cast(registerType(dtype), text);
  case KILN_BOOL:
    return language().narrowArithmetic ? "(" + text + " != 0)" : "(" + cast(unsignedType(KILN_U32), text) + " != 0u)";
  default:
    return text;
  }
}

std::string Emitter::toStorage(kiln_dtype dtype, const std::string &text) {
  switch (dtype) {
  case KILN_BF16:
  case KILN_F16:
    return cast(storageType(dtype), function(dtype == KILN_BF16 ? "f32_bf16" : "f32_f16") + "(" + text + ")");
  case KILN_I8:
  case KILN_U8:
    return cast(storageType(dtype), text);
  case KILN_BOOL:
    return cast(storageType(dtype), language().narrowArithmetic ? text : text + " ? 1 : 0");
  default:
    return text;
  }
}

std::string Emitter::function(const std::string &name) {
  usedFunctions.insert(name);
  if (const Function *its = findFunction(name); its && its->passes > 0) {
    Loop within; // which is printed with the function
    within.parent = scopes.back().loop;
    within.most = its->passes;
    loops.push_back(within);
  }
  return "kiln_" + name;
}

std::string Emitter::functions() const { return printFunctions(options.language, options.ownFunctions, usedFunctions); }

/// Names the text, at the depth of its operands.
Expr Emitter::bindElement(kiln_dtype dtype, const std::string &text, std::initializer_list<Expr> operands) {
  return bind(registerType(dtype), inParentheses(text, operands));
}

Expr Emitter::call(const std::string &name, kiln_dtype result, std::initializer_list<Expr> operands) {
  std::string text;
  for (const Expr &operand : operands)
    text += (text.empty() ? "" : ", ") + operand.text;
  Expr whole = inParentheses(text, operands);
  whole.text = function(name) + whole.text;
  return bind(registerType(result), whole);
}

Expr Emitter::literal(kiln_dtype dtype, double real, int64_t whole) {
  char text[64];
  if (dtype == KILN_F64) {
    if (!std::isfinite(real))
      return call(std::isnan(real) ? "nan_f64" : real > 0 ? "inf_f64" : "minus_inf_f64", dtype, {});
    std::snprintf(text, sizeof(text), "%.17g", real);
    std::string number = text;
    if (number.find_first_of(".e") == std::string::npos)
      number += ".0";
    return {"(" + number + language().doubleSuffix + ")", 0, {}};
  }
  if (isFloat(dtype)) {
    float single = static_cast<float>(real);
    if (std::isfinite(single) && (single == 0 ? !std::signbit(single) : std::fabs(single) >= 0x1p-126f)) {
      std::snprintf(text, sizeof(text), "%.9g", static_cast<double>(single));
      std::string number = text;
      if (number.find_first_of(".e") == std::string::npos)
        number += ".0";
      return {single < 0 ? "(" + number + "f)" : number + "f", 0, {}};
    }
    uint32_t bits;
    static_assert(sizeof(bits) == sizeof(single));
    __builtin_memcpy(&bits, &single, sizeof(bits));
    std::snprintf(text, sizeof(text), "(0x%08xu)", static_cast<unsigned>(bits));
    return {function("float_of") + text, 0, {}};
  }
  if (isBool(dtype))
    return {whole ? "true" : "false", 0, {}};
  if (dtype == KILN_U8 || dtype == KILN_U32)
    return {std::to_string(static_cast<uint32_t>(whole)) + "u", 0, {}};
  if (dtype == KILN_I64) {
    const char *suffix = language().longSuffix;
    if (whole == std::numeric_limits<int64_t>::min())
      return {"(-9223372036854775807" + std::string(suffix) + " - 1" + suffix + ")", 0, {}};
    return {"(" + std::to_string(whole) + suffix + ")", 0, {}};
  }
  if (whole == std::numeric_limits<int32_t>::min())
    return {"(-2147483647 - 1)", 0, {}};
  return {whole < 0 ? "(" + std::to_string(whole) + ")" : std::to_string(whole), 0, {}};
}

/// The text, computed in 32 bits, as a number of a narrower type.
std::string Emitter::wrap(kiln_dtype dtype, const std::string &text) const {
  if (dtype == KILN_U8)
    return "(" + text + ") & 255u";
  if (dtype != KILN_I8)
    return text;
  std::string extend = language().signExtend;
  return extend.empty() ? cast(registerType(KILN_I32), cast(storageType(KILN_I8), text))
                        : extend.replace(extend.find('$'), 1, text);
}

//===-- One operand -----------------------------------------------------------------------------------------------===//

Expr Emitter::unary(OpCode code, const Expr &a, kiln_dtype dtype) {
  bool wide = dtype == KILN_F64;
  std::string type = wide ? "_f64" : "_f32";
  if (isFloat(dtype)) {
    switch (code) {
    case OpCode::Neg:
      return bindElement(dtype, "-" + a.text, {a});
    case OpCode::Abs:
      return call("abs" + type, dtype, {a});
    case OpCode::Sign: {
      Expr zero = literal(dtype, 0, 0), one = literal(dtype, 1, 0), minus = literal(dtype, -1, 0);
      return bindElement(dtype,
                         a.text + " > " + zero.text + " ? " + one.text + " : " + a.text + " < " + zero.text + " ? " +
                             minus.text + " : " + zero.text,
                         {a});
    }
    case OpCode::Rsqrt:
      return bindElement(dtype, literal(dtype, 1, 0).text + " / " + function("sqrt" + type) + "(" + a.text + ")", {a});
    case OpCode::Sigmoid: {
      Expr e = call("exp" + type, dtype, {unary(OpCode::Neg, a, dtype)}), one = literal(dtype, 1, 0);
      return bindElement(dtype, one.text + " / (" + one.text + " + " + e.text + ")", {e});
    }
    default: // functions of the table (FunctionTable.cpp) are named as their ops
      return call(std::string(infoOf(code).name) + type, dtype, {a});
    }
  }
  switch (code) {
  case OpCode::Not:
    if (isBool(dtype))
      return bindElement(dtype, "!" + a.text, {a});
    return bindElement(dtype, wrap(dtype, "~" + a.text), {a});
  case OpCode::Neg:
    return binary(OpCode::Sub, literal(dtype, 0, 0), a, dtype);
  case OpCode::Abs: {
    if (!isSigned(dtype))
      return a;
    Expr negated = unary(OpCode::Neg, a, dtype);
    return bindElement(dtype, a.text + " < 0 ? " + negated.text + " : " + a.text, {a, negated});
  }
  default: { // Sign
    if (isBool(dtype))
      return a;
    std::string one = literal(dtype, 0, 1).text, zero = literal(dtype, 0, 0).text;
    std::string negative = isSigned(dtype) ? a.text + " < 0 ? " + literal(dtype, 0, -1).text + " : " : "";
    return bindElement(dtype, a.text + " > " + zero + " ? " + one + " : " + negative + zero, {a});
  }
  }
}

//===-- Two operands ----------------------------------------------------------------------------------------------===//

Expr Emitter::integerDivision(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype, const Op *op) {
  std::string zero = literal(dtype, 0, 0).text, one = literal(dtype, 0, 1).text;
  if (op)
    report(KILN_DIVISION_BY_ZERO, *op, {b.text + " == " + zero, b.level, {}}, a, index(0));
  // Neither zero nor the lowest number by -1 may reach the division.
  bool remainder = code == OpCode::Rem;
  std::string special = b.text + " == " + zero, minus = literal(dtype, 0, -1).text;
  if (isSigned(dtype))
    special += " || " + b.text + " == " + minus;
  Expr divisor = bindElement(dtype, special + " ? " + one + " : " + b.text, {a, b});
  Expr plain = bindElement(dtype, a.text + (remainder ? " % " : " / ") + divisor.text, {a, divisor});
  Expr negated = isSigned(dtype) && !remainder ? unary(OpCode::Neg, a, dtype) : literal(dtype, 0, 0);
  std::string byMinusOne = isSigned(dtype) ? b.text + " == " + minus + " ? " + negated.text + " : " : "";
  return bindElement(dtype, b.text + " == " + zero + " ? " + zero + " : " + byMinusOne + plain.text,
                     {plain, b, negated});
}

/// Where x * 0, 0 / x and x - x are taken for 0, 0 + x for x and x / 0 for anything, infinities and NaN or not, where a
/// compiler sees that (Mesa's does), these are spelt otherwise.
std::optional<Expr> Emitter::unfolded(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype) {
  if (!language().foldsZeros || !isFloat(dtype))
    return {};
  std::string type = std::string("_") + dtypeName(accumulator(dtype));
  auto signOf = [&](const Expr &x) { // of a literal zero; 0 for all else
    bool negative = x.text == "kiln_float_of(0x80000000u)" || x.text == "(-0.0lf)";
    return negative ? -1 : x.text == literal(dtype, 0, 0).text ? 1 : 0;
  };
  auto times = [&](int sign, const char *name, const Expr &x) {
    return call(name + type, dtype, {sign < 0 ? unary(OpCode::Neg, x, dtype) : x});
  };
  if (code == OpCode::Add && (signOf(a) == 1 || signOf(b) == 1))
    return times(1, "plus_zero", signOf(a) == 1 ? b : a);
  if (code == OpCode::Sub && signOf(a) == 1)
    return times(-1, "plus_zero", b);
  if (code == OpCode::Mul && (signOf(a) || signOf(b)))
    return signOf(b) ? times(signOf(b), "zero_times", a) : times(signOf(a), "zero_times", b);
  if (code == OpCode::Div && signOf(a))
    return times(signOf(a), "zero_over", b);
  if (code == OpCode::Div && signOf(b))
    return bindElement(dtype, a.text + " * " + literal(dtype, signOf(b) * HUGE_VAL, 0).text, {a});
  if (code == OpCode::Sub && a.text == b.text)
    return call("zero_times" + type, dtype, {call("abs" + type, dtype, {a})});
  return {};
}

Expr Emitter::binary(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype, const Op *op) {
  if (std::optional<Expr> result = unfolded(code, a, b, dtype))
    return *result;
  std::string type = std::string("_") + dtypeName(accumulator(dtype));
  switch (code) {
  case OpCode::Max:
  case OpCode::Min: {
    bool larger = code == OpCode::Max;
    if (isFloat(dtype))
      return call((larger ? "max" : "min") + type, dtype, {a, b});
    if (isBool(dtype))
      return binary(larger ? OpCode::Or : OpCode::And, a, b, dtype);
    return bindElement(dtype, a.text + (larger ? " > " : " < ") + b.text + " ? " + a.text + " : " + b.text, {a, b});
  }
  case OpCode::Pow:
    return call("pow" + type, dtype, {a, b});
  case OpCode::Rem:
    if (isFloat(dtype))
      return call("fmod" + type, dtype, {a, b});
    if (!language().cRemainder && isSigned(dtype)) {
      // a - a / b * b; a division by -1 gives 0, and so does one by 0, which is what the division below yields.
      Expr quotient = integerDivision(OpCode::Div, a, b, dtype, op);
      Expr product = binary(OpCode::Mul, quotient, b, dtype);
      Expr rest = binary(OpCode::Sub, a, product, dtype);
      return bindElement(
          dtype, b.text + " == " + literal(dtype, 0, 0).text + " ? " + literal(dtype, 0, 0).text + " : " + rest.text,
          {rest, b});
    }
    return integerDivision(code, a, b, dtype, op);
  case OpCode::Div:
    return isFloat(dtype) ? bindElement(dtype, a.text + " / " + b.text, {a, b})
                          : integerDivision(code, a, b, dtype, op);
  case OpCode::Shl:
  case OpCode::Shr:
    return shift(code, a, b, dtype);
  default:
    break;
  }
  static const std::map<OpCode, std::pair<const char *, const char *>> signs = {
      {OpCode::Add, {" + ", " || "}}, {OpCode::Sub, {" - ", " != "}}, {OpCode::Mul, {" * ", " && "}},
      {OpCode::And, {" & ", " && "}}, {OpCode::Or, {" | ", " || "}},  {OpCode::Xor, {" ^ ", " != "}}};
  auto [sign, logical] = signs.at(code);
  if (isBool(dtype))
    return bindElement(dtype, a.text + logical + b.text, {a, b});
  // Signed integers wrap: in C by way of unsigned ones.
  bool wraps = isSigned(dtype) && (code == OpCode::Add || code == OpCode::Sub || code == OpCode::Mul);
  if (wraps && !language().signedWraps) {
    std::string u = unsignedType(dtype);
    return bindElement(dtype, wrap(dtype, cast(registerType(dtype), cast(u, a.text) + sign + cast(u, b.text))), {a, b});
  }
  return bindElement(dtype, wrap(dtype, a.text + sign + b.text), {a, b});
}

Expr Emitter::shift(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype) {
  std::string u = unsignedType(dtype), type = registerType(dtype), zero = literal(dtype, 0, 0).text;
  std::string count = cast(u, b.text), width = std::to_string(bitWidth(dtype)) + "u";
  if (dtype == KILN_I8) // a negative count is a large one in 8 bits too
    count = "(" + count + " & 255u)";
  if (dtype == KILN_I64 && !language().convertsWidths)
    width = cast(u, width);
  std::string inside = count + " < " + width, small = cast(registerType(KILN_I32), b.text);
  if (code == OpCode::Shl)
    return bindElement(
        dtype, inside + " ? " + cast(type, wrap(dtype, cast(type, cast(u, a.text) + " << " + small))) + " : " + zero,
        {a, b});
  std::string out =
      isSigned(dtype) ? "(" + a.text + " < " + zero + " ? " + literal(dtype, 0, -1).text + " : " + zero + ")" : zero;
  return bindElement(dtype, inside + " ? " + a.text + " >> " + small + " : " + out, {a, b});
}

Expr Emitter::compare(std::string_view predicate, const Expr &a, const Expr &b, kiln_dtype dtype) {
  static const std::map<std::string_view, const char *> signs = {{"eq", " == "}, {"ne", " != "}, {"lt", " < "},
                                                                 {"le", " <= "}, {"gt", " > "},  {"ge", " >= "}};
  if (isBool(dtype) && predicate != "eq" && predicate != "ne") {
    Expr x = convert(a, dtype, KILN_I32), y = convert(b, dtype, KILN_I32);
    return compare(predicate, x, y, KILN_I32);
  }
  return bindElement(KILN_BOOL, a.text + signs.at(predicate) + b.text, {a, b});
}

Expr Emitter::select(const Expr &condition, const Expr &a, const Expr &b, kiln_dtype dtype) {
  return bindElement(dtype, condition.text + " ? " + a.text + " : " + b.text, {condition, a, b});
}

//===-- Conversion ------------------------------------------------------------------------------------------------===//

/// Truncates and saturates; NaN gives 0.
Expr Emitter::saturate(const Expr &a, kiln_dtype from, kiln_dtype to) {
  int bits = bitWidth(to);
  bool sign = isSigned(to);
  double low = sign ? -std::ldexp(1.0, bits - 1) : 0, high = std::ldexp(1.0, bits - static_cast<int>(sign));
  int64_t largest = static_cast<int64_t>((static_cast<uint64_t>(1) << (bits - static_cast<int>(sign))) - 1),
          smallest = sign ? -largest - 1 : 0;
  Expr top = literal(from, high, 0), bottom = literal(from, low, 0);
  // The comparison with a NaN is false both times: it meets the last one and is 0.
  std::string fits = a.text + " < " + top.text + " && " + a.text + " > " + bottom.text;
  Expr safe = bindElement(from, fits + " ? " + a.text + " : " + literal(from, 0, 0).text, {a});
  Expr inside = bindElement(to, cast(registerType(to), safe.text), {safe});
  return bindElement(to,
                     a.text + " >= " + top.text + " ? " + literal(to, 0, largest).text + " : " + a.text +
                         " <= " + bottom.text + " ? " + literal(to, 0, smallest).text + " : " + inside.text,
                     {a, inside});
}

/// An integer that f32 holds, and that is rounded to bf16 as `a` is: what lies below the digits that count is one bit,
/// set where any of them was.
Expr Emitter::forNarrowing(const Expr &a, kiln_dtype from) {
  struct Level {
    int least, dropped; // of numbers from 2^least on, so many bits
  };
  static const std::vector<Level> ofWords = {{24, 8}}, ofLongs = {{54, 45}, {39, 30}, {24, 15}};
  std::string text, zero = literal(from, 0, 0).text;
  for (const Level &level : bitWidth(from) == 64 ? ofLongs : ofWords) {
    int64_t step = int64_t{1} << level.dropped, limit = int64_t{1} << level.least;
    std::string bit = literal(from, 0, step).text, rest = "(" + a.text + " & " + literal(from, 0, step - 1).text + ")";
    std::string test = a.text + " >= " + literal(from, 0, limit).text;
    if (isSigned(from))
      test = "(" + test + " || " + a.text + " <= " + literal(from, 0, -limit).text + ")";
    text +=
        test + " ? ((" + a.text + " ^ " + rest + ") | (" + rest + " != " + zero + " ? " + bit + " : " + zero + ")) : ";
  }
  return bindElement(from, text + a.text, {a});
}

/// What memory would give back of a f32 that is stored as a bf16 or f16.
Expr Emitter::rounded(const Expr &a, kiln_dtype dtype) {
  std::string name = dtype == KILN_BF16 ? "bf16" : "f16";
  return call(name + "_f32", dtype, {Expr{function("f32_" + name) + "(" + a.text + ")", a.level, {}, a.changes}});
}

Expr Emitter::convert(const Expr &a, kiln_dtype from, kiln_dtype to) {
  if (from == to)
    return a;
  std::string type = registerType(to);
  if (isBool(to))
    return bindElement(to, a.text + " != " + literal(from, 0, 0).text, {a});
  if (isBool(from))
    return bindElement(to, a.text + " ? " + literal(to, 1, 1).text + " : " + literal(to, 0, 0).text, {a});
  if (isFloat(from) && !isFloat(to))
    return saturate(a, from, to);
  if (to == KILN_BF16 && !isFloat(from) && bitWidth(from) >= 32) {
    Expr whole = forNarrowing(a, from);
    return convert(bindElement(KILN_F32, cast(type, whole.text), {whole}), KILN_F32, to);
  }
  if (isFloat(to)) {
    // f64 goes to 16 bits by way of a f32 that was rounded to odd: so that the second rounding is the only one.
    Expr wide = from == KILN_F64 && byteSize(to) == 2 ? call("f64_odd", KILN_F32, {a})
                : registerType(from) == type          ? a
                                                      : bind(type, {cast(type, a.text), a.level, {}, a.changes});
    if (byteSize(to) > 2)
      return wide;
    return rounded(wide, to);
  }
  if (bitWidth(to) < 32 && bitWidth(to) <= bitWidth(from))
    return bindElement(to, wrap(to, cast(type, a.text)), {a});
  return bindElement(to, (to == KILN_U8 ? wrap(to, cast(type, a.text)) : cast(type, a.text)), {a});
}

Expr Emitter::bitcast(const Expr &a, kiln_dtype from, kiln_dtype to) {
  if (from == KILN_F64 || to == KILN_F64)
    return call(from == KILN_F64 ? "i64_of_f64" : "f64_of_i64", to, {a});
  bool reads = from == KILN_F32;
  std::string bits = reads ? a.text : cast(language().uint32, a.text);
  std::string made = function(reads ? "bits_of" : "float_of") + "(" + bits + ")";
  return bindElement(to, to == KILN_I32 ? cast(language().int32, made) : made, {a});
}

/// By the pattern for f32: where a compiler may take it that there are no NaNs, a comparison would not tell.
std::string Emitter::isNaN(const Expr &a, kiln_dtype dtype) {
  if (dtype == KILN_F64 || language().comparesNaN)
    return "(" + a.text + " != " + a.text + ")";
  return "((" + function("bits_of") + "(" + a.text + ") & 0x7fffffffu) > 0x7f800000u)";
}

//===-- Combining -------------------------------------------------------------------------------------------------===//

static std::optional<OpCode> combiningOp(std::string_view kind) {
  static const std::map<std::string_view, OpCode> codes = {
      {"sum", OpCode::Add}, {"add", OpCode::Add}, {"prod", OpCode::Mul}, {"mul", OpCode::Mul},
      {"max", OpCode::Max}, {"min", OpCode::Min}, {"any", OpCode::Or},   {"all", OpCode::And}};
  auto found = codes.find(kind);
  return found == codes.end() ? std::nullopt : std::optional(found->second);
}

bool Emitter::canCombine(std::string_view kind) { return kind == "set" || combiningOp(kind); }

Expr Emitter::neutral(std::string_view kind, kiln_dtype dtype) {
  double infinity = std::numeric_limits<double>::infinity();
  int bits = bitWidth(dtype);
  int64_t largest = static_cast<int64_t>((static_cast<uint64_t>(1) << (bits - static_cast<int>(isSigned(dtype)))) - 1);
  if (kind == "prod" || kind == "mul" || kind == "all")
    return literal(dtype, 1, 1);
  if (kind == "max")
    return literal(dtype, -infinity, isSigned(dtype) ? -largest - 1 : 0);
  if (kind == "min")
    return literal(dtype, infinity, largest);
  return literal(dtype, 0, 0);
}

Expr Emitter::combine(std::string_view kind, const Expr &a, const Expr &b, kiln_dtype dtype) {
  if (kind == "set")
    return b;
  if (std::optional<OpCode> code = combiningOp(kind))
    return binary(*code, a, b, dtype);
  // canPrint() refuses it.
  return {"kiln_no_way_to_combine_by_" + std::string(kind), 0, {}};
}

} // namespace kiln::sdk
