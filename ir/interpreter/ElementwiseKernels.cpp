// Elementwise primitives: operands and result have one shape, so that each is a plain loop.
#include "ir/interpreter/Kernels.h"

#include <bit>
#include <cmath>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

template <typename T, typename F> void map(Call &call, F f) {
  const std::vector<T> &x = call.in[0]->data<T>();
  std::vector<T> &out = call.out[0].data<T>();
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = f(x[i]);
}

template <typename T, typename F> void zip(Call &call, F f) {
  const std::vector<T> &x = call.in[0]->data<T>(), &y = call.in[1]->data<T>();
  std::vector<T> &out = call.out[0].data<T>();
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = f(x[i], y[i]);
}

void wrapResult(Call &call) {
  mlir::Type element = call.out[0].element;
  for (int64_t &value : call.out[0].integers)
    value = wrapTo(element, value);
}

template <auto f> Status unaryFloat(Call &call) {
  map<double>(call, [](double x) { return f(x); });
  return OkStatus();
}

/// One function for doubles, one for integers (in unsigned arithmetic, which wraps).
template <auto real, auto integer> Status unary(Call &call) {
  if (call.in[0]->isFloat()) {
    map<double>(call, [](double x) { return real(x); });
  } else {
    map<int64_t>(call, [](int64_t x) { return static_cast<int64_t>(integer(static_cast<uint64_t>(x))); });
    wrapResult(call);
  }
  return OkStatus();
}

template <auto real, auto integer> Status binary(Call &call) {
  if (call.in[0]->isFloat()) {
    zip<double>(call, [](double x, double y) { return real(x, y); });
  } else {
    zip<int64_t>(call, [](int64_t x, int64_t y) {
      return static_cast<int64_t>(integer(static_cast<uint64_t>(x), static_cast<uint64_t>(y)));
    });
    wrapResult(call);
  }
  return OkStatus();
}

template <bool quotient> Status divide(Call &call) {
  if (call.in[0]->isFloat()) {
    zip<double>(call, [](double x, double y) { return quotient ? x / y : std::fmod(x, y); });
    return OkStatus();
  }
  zip<int64_t>(call, [&](int64_t x, int64_t y) -> int64_t {
    if (y == 0) {
      call.record(DataError::divisionByZero, x);
      return 0;
    }
    if (y == -1) // the lowest integer has no negation
      return quotient ? static_cast<int64_t>(-static_cast<uint64_t>(x)) : 0;
    return quotient ? x / y : x % y;
  });
  wrapResult(call);
  return OkStatus();
}

template <bool left> Status shift(Call &call) {
  uint64_t width = call.out[0].element.getIntOrFloatBitWidth();
  mlir::Type element = call.out[0].element;
  zip<int64_t>(call, [&](int64_t x, int64_t count) -> int64_t {
    if (static_cast<uint64_t>(count) >= width)
      return left || x >= 0 ? 0 : -1;
    return left ? static_cast<int64_t>(static_cast<uint64_t>(x) << count) : x >> count;
  });
  for (int64_t &value : call.out[0].integers)
    value = wrapTo(element, value);
  return OkStatus();
}

template <typename T> void compareAs(Call &call, Predicate predicate) {
  const std::vector<T> &x = call.in[0]->data<T>(), &y = call.in[1]->data<T>();
  std::vector<int64_t> &out = call.out[0].integers;
  auto loop = [&](auto test) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = test(x[i], y[i]);
  };
  switch (predicate) {
  case Predicate::eq:
    return loop(std::equal_to<T>());
  case Predicate::ne:
    return loop(std::not_equal_to<T>());
  case Predicate::lt:
    return loop(std::less<T>());
  case Predicate::le:
    return loop(std::less_equal<T>());
  case Predicate::gt:
    return loop(std::greater<T>());
  case Predicate::ge:
    return loop(std::greater_equal<T>());
  }
}

Status compare(Call &call) {
  Predicate predicate = llvm::cast<CompareOp>(call.op).getPredicate();
  if (call.in[0]->isFloat())
    compareAs<double>(call, predicate);
  else
    compareAs<int64_t>(call, predicate);
  return OkStatus();
}

Status select(Call &call) {
  onStorage(call.out[0], [&](auto kind) {
    using T = decltype(kind);
    const std::vector<int64_t> &condition = call.in[0]->integers;
    const std::vector<T> &yes = call.in[1]->data<T>(), &no = call.in[2]->data<T>();
    std::vector<T> &out = call.out[0].data<T>();
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = condition[i] ? yes[i] : no[i];
  });
  return OkStatus();
}

Status convert(Call &call) {
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  if (in.isFloat() && out.isFloat())
    out.floats = in.floats;
  else if (in.isFloat())
    llvm::transform(in.floats, out.integers.begin(), [&](double x) { return saturateTo(out.element, x); });
  else if (out.isFloat())
    llvm::transform(in.integers, out.floats.begin(), [](int64_t x) { return static_cast<double>(x); });
  else
    llvm::transform(in.integers, out.integers.begin(), [&](int64_t x) { return wrapTo(out.element, x); });
  return OkStatus();
}

Status bitcast(Call &call) {
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  bool wide = (in.isFloat() ? in : out).element.isF64();
  if (in.isFloat())
    llvm::transform(in.floats, out.integers.begin(), [&](double x) {
      return wrapTo(out.element, wide ? std::bit_cast<int64_t>(x) : std::bit_cast<int32_t>(static_cast<float>(x)));
    });
  else
    llvm::transform(in.integers, out.floats.begin(), [&](int64_t x) {
      return wide ? std::bit_cast<double>(x) : static_cast<double>(std::bit_cast<float>(static_cast<int32_t>(x)));
    });
  return OkStatus();
}

Status identity(Call &call) {
  call.out[0] = *call.in[0];
  return OkStatus();
}

} // namespace

void addElementwiseKernels(KernelTable &table) {
  using U = uint64_t;
#define KILN_FUNCTION(code, name, real) add<code##Op>(table, unaryFloat<[](double x) { return real; }>);
#define KILN_NUMBER_FUNCTION(code, name, real, whole)                                                                  \
  add<code##Op>(table, unary<[](double x) { return real; }, [](U x) { return whole; }>);
#define KILN_BINARY(code, real, whole)                                                                                 \
  add<code##Op>(table, binary<[](double x, double y) -> double { return real; }, [](U x, U y) -> U { return whole; }>);
#include "ir/Ops.inc"
  // A bool's complement is that of its last bit.
  add<NotOp>(
      table, +[](Call &call) {
        bool boolean = call.out[0].element.isInteger(1);
        map<int64_t>(call, [&](int64_t x) -> int64_t { return boolean ? !x : ~x; });
        wrapResult(call);
        return OkStatus();
      });

  add<DivOp>(table, divide<true>);
  add<RemOp>(table, divide<false>);
  add<ShlOp>(table, shift<true>);
  add<ShrOp>(table, shift<false>);
  add<CompareOp>(table, compare);
  add<SelectOp>(table, select);
  add<ConvertOp>(table, convert);
  add<BitcastOp>(table, bitcast);
  add<StopGradientOp>(table, identity);
}

} // namespace kiln::interpreter
