// What a kernel means, in the plainest loops.
#include "tests/backends/cpu/EvaluateScalar.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

namespace kiln::test {
namespace {

using Place = std::vector<int64_t>;

int64_t offset(const std::vector<int64_t> &shape, const Place &at) {
  int64_t sum = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    sum = sum * shape[d] + at[d];
  return sum;
}
Place placeOf(const std::vector<int64_t> &shape, int64_t linear) {
  Place at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    at[d] = linear % shape[d];
    linear /= shape[d];
  }
  return at;
}

/// Values in double, or in int64 wrapped to the dtype.
struct Value {
  kiln_dtype dtype;
  std::vector<int64_t> shape;
  std::vector<Number> data;
  Number &at(const Place &place) { return data[static_cast<size_t>(offset(shape, place))]; }
  const Number &at(const Place &place) const { return data[static_cast<size_t>(offset(shape, place))]; }
};

/// Evaluates one op after another.
class Evaluation {
public:
  Evaluation(const TestKernel &kernel) : kernel(kernel), values(kernel.valueCount()) {}
  const TestKernel &kernel;
  std::vector<Value> values;

  Value &make(uint32_t v) {
    Value &value = values[v];
    value.dtype = kernel.dtypeOf(v);
    value.shape = kernel.shapeOf(v);
    value.data.assign(static_cast<size_t>(std::accumulate(value.shape.begin(), value.shape.end(),
                                                          static_cast<int64_t>(1), std::multiplies<>())),
                      {});
    return value;
  }
  void each(Value &value, const std::function<Number(const Place &)> &f) {
    for (size_t i = 0; i < value.data.size(); ++i)
      value.data[i] = f(placeOf(value.shape, static_cast<int64_t>(i)));
  }

  void op(const TestKernel::OpData &op) {
    Value &result = make(op.results[0]);
    auto operand = [&](size_t i) -> Value & { return values[op.operands[i]]; };
    if (source(op, result) || (!op.operands.empty() && (elementwise(op, result) || layout(op, result) ||
                                                        indexed(op, result) || window(op, result))))
      return;
    if (op.name == "reduce") {
      std::string kind = op.find("kind")->s;
      std::vector<int64_t> axes = op.ints("axes");
      each(result, [&](const Place &) { return neutral(kind, result.dtype); });
      for (size_t i = 0; i < operand(0).data.size(); ++i) {
        Place from = placeOf(operand(0).shape, static_cast<int64_t>(i)), to;
        for (size_t d = 0; d < from.size(); ++d)
          if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
            to.push_back(from[d]);
        result.at(to) = combine(kind, result.at(to), operand(0).data[i], result.dtype);
      }
    } else if (op.name == "dot_general") {
      dot(op, result);
    } else {
      unknown("evaluate: no op " + op.name);
    }
  }

private:
  bool source(const TestKernel::OpData &op, Value &result) {
    if (op.name == "constant") {
      Tensor t;
      t.dtype = result.dtype;
      t.bytes.assign(op.find("value")->s.begin(), op.find("value")->s.end());
      bool splat = t.bytes.size() == Tensor::make(t.dtype, {}).bytes.size();
      for (size_t i = 0; i < result.data.size(); ++i)
        result.data[i] = t.get(splat ? 0 : static_cast<int64_t>(i));
    } else if (op.name == "iota") {
      each(result, [&](const Place &at) {
        return convert({0, at[static_cast<size_t>(op.integer("axis"))]}, KILN_I64, result.dtype);
      });
    } else if (op.name == "extent") {
      result.data[0] = convert({0, kernel.valuesOf(op.find("expr")->extents)[0]}, KILN_I64, result.dtype);
    } else if (op.name == "random_bits") {
      for (size_t i = 0; i < result.data.size(); ++i)
        result.data[i].whole = philox(op, static_cast<uint32_t>(i));
    } else {
      return false;
    }
    return true;
  }

  int64_t philox(const TestKernel::OpData &op, uint32_t element) {
    uint32_t x[4] = {element / 4, 0, 0, 0}, key[2] = {static_cast<uint32_t>(values[op.operands[0]].data[0].whole),
                                                      static_cast<uint32_t>(op.integer("stream"))};
    for (size_t i = 1; i < op.operands.size(); ++i)
      x[i] = static_cast<uint32_t>(values[op.operands[i]].data[0].whole);
    for (int round = 0; round < 10; ++round) {
      uint64_t a = static_cast<uint64_t>(0xD2511F53) * x[0], b = static_cast<uint64_t>(0xCD9E8D57) * x[2];
      uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key[0], static_cast<uint32_t>(b),
                          static_cast<uint32_t>(a >> 32) ^ x[3] ^ key[1], static_cast<uint32_t>(a)};
      std::memcpy(x, next, sizeof x);
      key[0] += 0x9E3779B9, key[1] += 0xBB67AE85;
    }
    return x[element % 4];
  }

  bool elementwise(const TestKernel::OpData &op, Value &result) {
    static const char *unaries[] = {"neg", "abs", "sign", "exp",     "expm1", "log",   "log1p", "sqrt",  "rsqrt",
                                    "sin", "cos", "tanh", "sigmoid", "erf",   "floor", "ceil",  "round", "not"};
    static const char *binaries[] = {"add", "sub", "mul", "div", "rem", "pow", "max",
                                     "min", "and", "or",  "xor", "shl", "shr"};
    auto is = [&](auto &list) { return std::find(std::begin(list), std::end(list), op.name) != std::end(list); };
    std::vector<const Value *> in;
    for (uint32_t v : op.operands)
      in.push_back(&values[v]);
    bool real = isReal(in[0]->dtype);
    for (size_t i = 0; i < result.data.size(); ++i) {
      auto arg = [&](size_t n) { return in[n]->data[i]; };
      Number &to = result.data[i];
      if (is(binaries))
        to = binary(op.name, arg(0), arg(1), result.dtype);
      else if (is(unaries))
        to = real ? Number{unaryReal(op.name, arg(0).real), 0}
                  : Number{0, wrap(unaryWhole(op.name, arg(0).whole), result.dtype)};
      else if (op.name == "compare")
        to = {0, compare(op.find("predicate")->s, arg(0), arg(1), real)};
      else if (op.name == "select")
        to = arg(0).whole ? arg(1) : arg(2);
      else if (op.name == "convert")
        to = convert(arg(0), in[0]->dtype, result.dtype);
      else if (op.name == "stop_gradient")
        to = arg(0);
      else
        return false;
    }
    return true;
  }
  static int64_t unaryWhole(const std::string &op, int64_t x) {
    if (op == "neg")
      return static_cast<int64_t>(0 - static_cast<uint64_t>(x));
    if (op == "abs")
      return x < 0 ? static_cast<int64_t>(0 - static_cast<uint64_t>(x)) : x;
    if (op == "sign")
      return (x > 0) - (x < 0);
    if (op == "not")
      return ~x;
    unknown("no integer op " + op);
  }

  bool layout(const TestKernel::OpData &op, Value &result) {
    const Value &in = values[op.operands[0]];
    auto list = [&](const char *name) {
      return op.find(name)->kind == KILN_ATTR_INTS ? op.ints(name) : kernel.valuesOf(op.find(name)->extents);
    };
    if (op.name == "reshape") {
      result.data = in.data;
    } else if (op.name == "transpose") {
      std::vector<int64_t> permutation = list("permutation");
      each(result, [&](const Place &at) {
        Place from(at.size());
        for (size_t d = 0; d < at.size(); ++d)
          from[static_cast<size_t>(permutation[d])] = at[d];
        return in.at(from);
      });
    } else if (op.name == "broadcast") {
      std::vector<int64_t> axes = list("axes");
      each(result, [&](const Place &at) {
        Place from;
        for (size_t d = 0; d < axes.size(); ++d)
          from.push_back(in.shape[d] == 1 ? 0 : at[static_cast<size_t>(axes[d])]);
        return in.at(from);
      });
    } else if (op.name == "slice") {
      std::vector<int64_t> starts = list("starts"), strides = list("strides");
      each(result, [&](Place at) {
        for (size_t d = 0; d < at.size(); ++d)
          at[d] = starts[d] + at[d] * strides[d];
        return in.at(at);
      });
    } else if (op.name == "reverse") {
      std::vector<int64_t> axes = list("axes");
      each(result, [&](Place at) {
        for (int64_t a : axes)
          at[static_cast<size_t>(a)] = in.shape[static_cast<size_t>(a)] - 1 - at[static_cast<size_t>(a)];
        return in.at(at);
      });
    } else if (op.name == "pad") {
      std::vector<int64_t> low = list("low"), interior = list("interior");
      each(result, [&](const Place &) { return values[op.operands[1]].data[0]; });
      for (size_t i = 0; i < in.data.size(); ++i) {
        Place at = placeOf(in.shape, static_cast<int64_t>(i));
        for (size_t d = 0; d < at.size(); ++d)
          at[d] = low[d] + at[d] * (interior[d] + 1);
        result.at(at) = in.data[i];
      }
    } else if (op.name == "concat") {
      size_t axis = static_cast<size_t>(op.integer("axis"));
      int64_t start = 0;
      for (uint32_t v : op.operands) {
        for (size_t i = 0; i < values[v].data.size(); ++i) {
          Place at = placeOf(values[v].shape, static_cast<int64_t>(i));
          at[axis] += start;
          result.at(at) = values[v].data[i];
        }
        start += values[v].shape[axis];
      }
    } else {
      return false;
    }
    return true;
  }

  bool indexed(const TestKernel::OpData &op, Value &result);
  bool window(const TestKernel::OpData &op, Value &result);
  void dot(const TestKernel::OpData &op, Value &result);
};

bool Evaluation::indexed(const TestKernel::OpData &op, Value &result) {
  const Value &in = values[op.operands[0]];
  size_t axis = static_cast<size_t>(op.integer("axis")), batch = static_cast<size_t>(op.integer("batch_dims"));
  bool real = isReal(in.dtype);
  auto start = [&](size_t operand, int64_t dim, int64_t size) {
    return std::max<int64_t>(0, std::min(values[op.operands[operand]].data[0].whole, dim - size));
  };
  /// Splits a gather's result place into the place of the index and the place in the operand.
  auto split = [&](const Place &at, const Value &indices, Place &which, Place &place) {
    size_t extra = indices.shape.size() - batch;
    which.assign(at.begin(), at.begin() + long(batch));
    which.insert(which.end(), at.begin() + long(axis), at.begin() + long(axis + extra));
    place.assign(at.begin(), at.begin() + long(axis));
    place.push_back(indices.at(which).whole);
    place.insert(place.end(), at.begin() + long(axis + extra), at.end());
  };
  if (op.name == "gather") {
    each(result, [&](const Place &at) {
      Place which, place;
      split(at, values[op.operands[1]], which, place);
      place[axis] = std::max<int64_t>(0, std::min(place[axis], in.shape[axis] - 1));
      return in.at(place);
    });
  } else if (op.name == "scatter") {
    result.data = in.data;
    const Value &updates = values[op.operands[2]];
    // Row-major over the updates visits equal places in ascending order of the index's position.
    for (size_t i = 0; i < updates.data.size(); ++i) {
      Place which, place;
      split(placeOf(updates.shape, static_cast<int64_t>(i)), values[op.operands[1]], which, place);
      if (place[axis] < 0 || place[axis] >= in.shape[axis])
        continue;
      result.at(place) = combine(op.find("kind")->s == "add"   ? "sum"
                                 : op.find("kind")->s == "mul" ? "prod"
                                                               : op.find("kind")->s,
                                 result.at(place), updates.data[i], result.dtype);
    }
  } else if (op.name == "dynamic_slice" || op.name == "dynamic_update_slice") {
    bool update = op.name == "dynamic_update_slice";
    const Value &block = update ? values[op.operands[1]] : result;
    if (update)
      result.data = in.data;
    for (size_t i = 0; i < block.data.size(); ++i) {
      Place at = placeOf(block.shape, static_cast<int64_t>(i));
      for (size_t d = 0; d < at.size(); ++d)
        at[d] += start(d + 1 + update, in.shape[d], block.shape[d]);
      update ? void(result.at(at) = block.data[i]) : void(result.data[i] = in.at(at));
    }
  } else if (op.name == "cumsum") {
    for (size_t i = 0; i < in.data.size(); ++i) {
      Place at = placeOf(in.shape, static_cast<int64_t>(i));
      int64_t here = at[axis];
      bool reverse = op.integer("reverse"), exclusive = op.integer("exclusive");
      Number sum{};
      for (at[axis] = 0; at[axis] < in.shape[axis]; ++at[axis])
        if (reverse ? at[axis] >= here + exclusive : at[axis] <= here - exclusive)
          sum = combine("sum", sum, in.at(at), in.dtype);
      result.data[i] = sum;
    }
  } else if (op.name == "sort" || op.name == "top_k" || op.name == "arg_reduce") {
    if (op.name == "top_k")
      axis = in.shape.size() - 1;
    bool descending =
        op.name == "top_k" || op.integer("descending") || (op.name == "arg_reduce" && op.find("kind")->s == "max");
    Value &indices = op.name == "arg_reduce" ? result : make(op.results[1]);
    std::vector<int64_t> shape = in.shape;
    shape.erase(shape.begin() + long(axis));
    int64_t rows = std::accumulate(shape.begin(), shape.end(), static_cast<int64_t>(1), std::multiplies<>());
    for (int64_t r = 0; r < rows; ++r) {
      Place at = placeOf(shape, r);
      at.insert(at.begin() + long(axis), 0);
      auto element = [&](int64_t i) {
        Place p = at;
        p[axis] = i;
        return in.at(p);
      };
      std::vector<int64_t> order(static_cast<size_t>(in.shape[axis]));
      std::iota(order.begin(), order.end(), 0);
      auto before = [&](int64_t a, int64_t b) {
        if (op.name == "arg_reduce" && real && (std::isnan(element(a).real) || std::isnan(element(b).real)))
          return std::isnan(element(a).real) && !std::isnan(element(b).real);
        return descending ? less(element(b), element(a), real) : less(element(a), element(b), real);
      };
      std::sort(order.begin(), order.end(),
                [&](int64_t a, int64_t b) { return before(a, b) || (!before(b, a) && a < b); });
      if (op.name == "arg_reduce") {
        result.data[static_cast<size_t>(r)].whole = order[0];
        continue;
      }
      for (int64_t i = 0; i < result.shape[axis]; ++i) {
        Place p = at;
        p[axis] = i;
        result.at(p) = element(order[static_cast<size_t>(i)]);
        indices.at(p) = {0, order[static_cast<size_t>(i)]};
      }
    }
  } else {
    return false;
  }
  return true;
}

bool Evaluation::window(const TestKernel::OpData &op, Value &result) {
  bool gradient = op.name == "reduce_window_grad";
  if (op.name != "reduce_window" && !gradient)
    return false;
  const Value &in = values[op.operands[0]];
  std::vector<int64_t> size = op.ints("window"), strides = op.ints("strides"), low = op.ints("low");
  std::string kind = op.find("kind")->s;
  const Value &windows = gradient ? values[op.operands[1]] : result;
  int64_t points = std::accumulate(size.begin(), size.end(), static_cast<int64_t>(1), std::multiplies<>());
  for (size_t w = 0; w < windows.data.size(); ++w) {
    Place at = placeOf(windows.shape, static_cast<int64_t>(w)), best;
    Number sum = neutral(kind, in.dtype);
    for (int64_t p = 0; p < points; ++p) {
      Place from = placeOf(size, p);
      bool inside = true;
      for (size_t d = 0; d < from.size(); ++d) {
        from[d] += at[d] * strides[d] - low[d];
        inside &= from[d] >= 0 && from[d] < in.shape[d];
      }
      if (!inside)
        continue;
      Number element = in.at(from);
      bool nan = std::isnan(element.real);
      if (best.empty() || (!std::isnan(in.at(best).real) &&
                           (nan || compare(kind == "max" ? "gt" : "lt", element, in.at(best), isReal(in.dtype)))))
        best = from;
      sum = combine(kind, sum, element, in.dtype);
    }
    if (!gradient)
      result.data[w] = sum;
    else if (!best.empty())
      result.at(best) = combine("sum", result.at(best), windows.data[w], result.dtype);
  }
  return true;
}

void Evaluation::dot(const TestKernel::OpData &op, Value &result) {
  const Value &lhs = values[op.operands[0]], &rhs = values[op.operands[1]];
  std::vector<int64_t> lb = op.ints("lhs_batch"), rb = op.ints("rhs_batch"), lc = op.ints("lhs_contract"),
                       rc = op.ints("rhs_contract");
  auto has = [](const std::vector<int64_t> &list, size_t d) {
    return std::find(list.begin(), list.end(), static_cast<int64_t>(d)) != list.end();
  };
  std::vector<int64_t> sizes;
  for (int64_t d : lc)
    sizes.push_back(lhs.shape[static_cast<size_t>(d)]);
  int64_t depth = std::accumulate(sizes.begin(), sizes.end(), static_cast<int64_t>(1), std::multiplies<>());
  each(result, [&](const Place &at) {
    Place l(lhs.shape.size()), r(rhs.shape.size());
    size_t next = 0;
    for (size_t i = 0; i < lb.size(); ++i)
      l[static_cast<size_t>(lb[i])] = r[static_cast<size_t>(rb[i])] = at[next++];
    for (size_t d = 0; d < l.size(); ++d)
      if (!has(lb, d) && !has(lc, d))
        l[d] = at[next++];
    for (size_t d = 0; d < r.size(); ++d)
      if (!has(rb, d) && !has(rc, d))
        r[d] = at[next++];
    Number sum{};
    for (int64_t k = 0; k < depth; ++k) {
      Place inner = placeOf(sizes, k);
      for (size_t i = 0; i < inner.size(); ++i)
        l[static_cast<size_t>(lc[i])] = r[static_cast<size_t>(rc[i])] = inner[i];
      sum.real += lhs.at(l).real * rhs.at(r).real;
      sum.whole += lhs.at(l).whole * rhs.at(r).whole;
    }
    return Number{sum.real, wrap(sum.whole, result.dtype)};
  });
}

} // namespace

std::vector<Tensor> evaluate(const TestKernel &kernel, const std::vector<Tensor> &inputs) {
  Evaluation evaluation(kernel);
  for (size_t i = 0; i < inputs.size(); ++i) {
    Value &value = evaluation.make(kernel.inputs[i]);
    for (size_t n = 0; n < value.data.size(); ++n)
      value.data[n] = inputs[i].get(static_cast<int64_t>(n));
  }
  for (const TestKernel::OpData &op : kernel.ops)
    evaluation.op(op);
  std::vector<Tensor> outputs;
  for (uint32_t v : kernel.outputs) {
    outputs.push_back(Tensor::make(kernel.dtypeOf(v), kernel.shapeOf(v)));
    for (int64_t i = 0; i < outputs.back().count(); ++i)
      outputs.back().set(i, evaluation.values[v].data[static_cast<size_t>(i)]);
  }
  return outputs;
}

} // namespace kiln::test
