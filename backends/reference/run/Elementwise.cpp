// Elementwise primitives: operands and result have one shape, so that each is a plain loop.
#include "backends/reference/run/Evaluate.h"

#include <bit>
#include <cmath>
#include <functional>

namespace kiln::reference {

using sdk::OpCode;

namespace {

template <typename F> bool mapReal(Call &call, F f) {
  const std::vector<double> &x = call.in[0]->floats;
  std::vector<double> &out = call.out[0]->floats;
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = f(x[i]);
  return true;
}

/// One function for doubles, one for integers (in unsigned arithmetic, which wraps).
template <typename R, typename I> bool unary(Call &call, R real, I integer) {
  if (call.in[0]->isFloat())
    return mapReal(call, real);
  const std::vector<int64_t> &x = call.in[0]->integers;
  std::vector<int64_t> &out = call.out[0]->integers;
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<int64_t>(integer(static_cast<uint64_t>(x[i])));
  call.out[0]->wrap();
  return true;
}

template <typename T, typename F> void zip(Call &call, F f) {
  const std::vector<T> &x = call.in[0]->data<T>(), &y = call.in[1]->data<T>();
  std::vector<T> &out = call.out[0]->data<T>();
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = f(x[i], y[i]);
}

template <typename R, typename I> bool binary(Call &call, R real, I integer) {
  if (call.in[0]->isFloat()) {
    zip<double>(call, real);
  } else {
    zip<int64_t>(call, [&](int64_t x, int64_t y) {
      return static_cast<int64_t>(integer(static_cast<uint64_t>(x), static_cast<uint64_t>(y)));
    });
    call.out[0]->wrap();
  }
  return true;
}

bool divide(Call &call, bool quotient) {
  if (call.in[0]->isFloat()) {
    zip<double>(call, [&](double x, double y) { return quotient ? x / y : std::fmod(x, y); });
    return true;
  }
  zip<int64_t>(call, [&](int64_t x, int64_t y) -> int64_t {
    if (y == 0) {
      call.record(KILN_DIVISION_BY_ZERO, x);
      return 0;
    }
    if (y == -1) // the lowest integer has no negation
      return quotient ? static_cast<int64_t>(0 - static_cast<uint64_t>(x)) : 0;
    return quotient ? x / y : x % y;
  });
  call.out[0]->wrap();
  return true;
}

bool shift(Call &call, bool left) {
  uint64_t width = widthOf(call.out[0]->dtype);
  zip<int64_t>(call, [&](int64_t x, int64_t count) -> int64_t {
    if (static_cast<uint64_t>(count) >= width)
      return left || x >= 0 ? 0 : -1;
    return left ? static_cast<int64_t>(static_cast<uint64_t>(x) << count) : x >> count;
  });
  call.out[0]->wrap();
  return true;
}

template <typename T> bool compareAs(Call &call) {
  const std::vector<T> &x = call.in[0]->data<T>(), &y = call.in[1]->data<T>();
  std::vector<int64_t> &out = call.out[0]->integers;
  auto loop = [&](auto test) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = test(x[i], y[i]);
    return true;
  };
  std::string_view predicate = call.op.text("predicate");
  if (predicate == "eq")
    return loop(std::equal_to<T>());
  if (predicate == "ne")
    return loop(std::not_equal_to<T>());
  if (predicate == "lt")
    return loop(std::less<T>());
  if (predicate == "le")
    return loop(std::less_equal<T>());
  if (predicate == "gt")
    return loop(std::greater<T>());
  if (predicate == "ge")
    return loop(std::greater_equal<T>());
  return call.fail("no predicate '" + std::string(predicate) + "'");
}

bool select(Call &call) {
  onStorage(*call.out[0], [&](auto kind) {
    using T = decltype(kind);
    const std::vector<int64_t> &condition = call.in[0]->integers;
    const std::vector<T> &yes = call.in[1]->data<T>(), &no = call.in[2]->data<T>();
    std::vector<T> &out = call.out[0]->data<T>();
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = condition[i] ? yes[i] : no[i];
  });
  return true;
}

bool convert(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  for (size_t i = 0; i < static_cast<size_t>(in.size()); ++i) {
    if (in.isFloat() && out.isFloat())
      out.floats[i] = in.floats[i];
    else if (in.isFloat())
      out.integers[i] = saturateTo(out.dtype, in.floats[i]);
    else if (out.isFloat())
      out.floats[i] = static_cast<double>(in.integers[i]);
    else
      out.integers[i] = wrapTo(out.dtype, in.integers[i]);
  }
  return true;
}

bool bitcast(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  kiln_dtype real = in.isFloat() ? in.dtype : out.dtype, whole = in.isFloat() ? out.dtype : in.dtype;
  bool wide = real == KILN_F64 && whole == KILN_I64;
  if (in.isFloat() == out.isFloat() || !(wide || (real == KILN_F32 && (whole == KILN_I32 || whole == KILN_U32))))
    return call.fail("its operand and its result are no float and integer of one width");
  for (size_t i = 0; i < static_cast<size_t>(in.size()); ++i) {
    if (!in.isFloat())
      out.floats[i] = wide ? std::bit_cast<double>(in.integers[i])
                           : static_cast<double>(std::bit_cast<float>(static_cast<int32_t>(in.integers[i])));
    else if (wide)
      out.integers[i] = std::bit_cast<int64_t>(in.floats[i]);
    else
      out.integers[i] = wrapTo(whole, std::bit_cast<int32_t>(static_cast<float>(in.floats[i])));
  }
  return true;
}

bool identity(Call &call) {
  call.out[0]->floats = call.in[0]->floats;
  call.out[0]->integers = call.in[0]->integers;
  return true;
}

} // namespace

bool elementwise(Call &call) {
  using U = uint64_t;
  for (const Tensor *operand : call.in)
    if (operand->shape != call.out[0]->shape)
      return call.fail("an operand and the result have different shapes");
  bool boolean = call.out[0]->dtype == KILN_BOOL;
  switch (call.op.code) {
#define KILN_FUNCTION(code, name, real)                                                                                \
  case OpCode::code:                                                                                                   \
    return mapReal(call, [](double x) { return real; });
#define KILN_NUMBER_FUNCTION(code, name, real, whole)                                                                  \
  case OpCode::code:                                                                                                   \
    return unary(call, [](double x) { return real; }, [](U x) { return whole; });
#define KILN_BINARY(code, real, whole)                                                                                 \
  case OpCode::code:                                                                                                   \
    return binary(call, [](double x, double y) -> double { return real; }, [](U x, U y) -> U { return whole; });
#include "Ops.inc"
  case OpCode::Not: // a bool's complement is that of its last bit
    return unary(call, [](double x) { return x; }, [&](U x) { return boolean ? U{!x} : ~x; });
  case OpCode::Div:
    return divide(call, true);
  case OpCode::Rem:
    return divide(call, false);
  case OpCode::Shl:
    return shift(call, true);
  case OpCode::Shr:
    return shift(call, false);
  case OpCode::Compare:
    return call.in[0]->isFloat() ? compareAs<double>(call) : compareAs<int64_t>(call);
  case OpCode::Select:
    return select(call);
  case OpCode::Convert:
    return convert(call);
  case OpCode::Bitcast:
    return bitcast(call);
  case OpCode::StopGradient:
    return identity(call);
  default:
    return call.fail("not an op that the reference knows");
  }
}

} // namespace kiln::reference
