// Names, guards and scopes of the printed text.

#include "Emitter.h"
#include <algorithm>
#include <cctype>
#include <limits>

namespace kiln::sdk {

//===-- Surroundings ----------------------------------------------------------------------------------------------===//

std::string Surroundings::load(uint32_t place, kiln_dtype, const std::string &index) {
  return "p" + std::to_string(place) + "[" + index + "]";
}
std::string Surroundings::store(uint32_t place, kiln_dtype, const std::string &index, const std::string &value) {
  return "p" + std::to_string(place) + "[" + index + "] = " + value + ";";
}
std::string Surroundings::extent(int32_t slot) { return "extents[" + std::to_string(slot) + "]"; }
std::string Surroundings::report(kiln_status_kind kind, uint32_t op, const std::string &condition,
                                 const std::string &value, const std::string &limit) {
  return "if (" + condition + ") KILN_REPORT(" + std::to_string(kind) + ", " + std::to_string(op) + ", " + value +
         ", " + limit + ");";
}

//===-- Scopes ----------------------------------------------------------------------------------------------------===//

Emitter::Emitter(const Graph &graph, Surroundings &around, EmitterOptions options)
    : graph(graph), options(options), around(around), scopes(1), rounds(storedAndRead(graph)) {}

/// A name or a literal: nothing is gained by naming it again.
static bool isSimple(const std::string &text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return std::isalnum(c) || c == '_' || c == '.'; });
}

int Emitter::guardLevel() const {
  for (size_t i = scopes.size(); i-- > 0;)
    if (scopes[i].guard)
      return static_cast<int>(i);
  return 0;
}

/// Prints into the scope of that depth: the deeper ones are set aside meanwhile.
Expr Emitter::within(int depth, const std::function<Expr()> &print) {
  depth = std::min(depth, level());
  std::vector<Scope> aside(std::make_move_iterator(scopes.begin() + depth + 1), std::make_move_iterator(scopes.end()));
  scopes.resize(static_cast<size_t>(depth) + 1);
  Expr result = print();
  for (Scope &scope : aside)
    scopes.push_back(std::move(scope));
  return result;
}

std::string Emitter::fresh(const std::string &prefix) { return prefix + std::to_string(names++); }

Expr Emitter::name(std::string text) const { return {std::move(text), level(), {}}; }

Expr Emitter::bind(const std::string &type, const Expr &expr) {
  if (isSimple(expr.text))
    return expr;
  if (expr.changes) {
    Expr named{fresh("v"), level(), {}};
    named.most = expr.most;
    line("const " + type + " " + named.text + " = " + expr.text + ";");
    return named;
  }
  std::string key = type + " " + expr.text;
  for (const Scope &scope : scopes)
    if (auto found = scope.known.find(key); found != scope.known.end())
      return found->second;
  Scope &scope = scopes[static_cast<size_t>(expr.level)];
  Expr named{fresh(type == indexType() ? "i" : "v"), expr.level, expr.constant, false, expr.most};
  scope.text += "const " + type + " " + named.text + " = " + expr.text + ";\n";
  return scope.known[key] = named;
}

Expr Emitter::variable(const std::string &type, const Expr &start) {
  Expr result = name(fresh("x"));
  result.changes = true;
  line(type + " " + result.text + " = " + start.text + ";");
  return result;
}

void Emitter::line(const std::string &statement) { scopes.back().text += statement + "\n"; }

void Emitter::open(const std::string &head, bool guard) {
  int loop = scopes.back().loop;
  scopes.emplace_back();
  scopes.back().head = head;
  scopes.back().guard = guard;
  scopes.back().loop = loop;
}

void Emitter::close() {
  // Only now, so that what the inside has put into the scope around stands before the head.
  std::string text = std::move(scopes.back().head) + " {\n" + std::move(scopes.back().text) + "}\n";
  scopes.pop_back();
  scopes.back().text += text;
  orderLevel = std::min(orderLevel, level());
  std::erase_if(linearOf, [&](const auto &entry) { return entry.second.level > level(); });
}

std::string Emitter::take() {
  while (scopes.size() > 1)
    close();
  std::string result, text = std::move(scopes[0].text);
  scopes.assign(1, {});
  printHeads(text);
  size_t depth = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    std::string_view line(text.data() + at, end - at);
    if (!line.empty() && line.front() == '}' && depth)
      --depth;
    result.append(2 * (depth + 1), ' ').append(line).append("\n");
    if (!line.empty() && line.back() == '{')
      ++depth;
    at = end + 1;
  }
  return result;
}

//===-- Elements --------------------------------------------------------------------------------------------------===//

void Emitter::define(uint32_t value, Source source) {
  if (source)
    sources[value] = {std::move(source), level()};
  else
    sources.erase(value);
}

/// No element that depends on a defined value may be printed outside of the scope in which it was defined.
int Emitter::floorLevel(const Index &index) const {
  int result = guardLevel();
  for (const Expr &expr : index)
    result = std::max(result, expr.level);
  for (const auto &[value, source] : sources)
    result = std::max(result, std::min(source.level, level()));
  return result;
}

Expr Emitter::element(uint32_t value, const Index &index) {
  if (auto source = sources.find(value); source != sources.end()) {
    Expr exact = source->second.source(index);
    return rounds[value] ? rounded(exact, graph.type(value).dtype) : exact;
  }
  std::string key = "@" + std::to_string(value);
  for (const Expr &expr : index)
    key += "," + expr.text;
  for (const Scope &scope : scopes)
    if (auto found = scope.known.find(key); found != scope.known.end())
      return found->second;
  int input = graph.inputNumber(value);
  Expr result = input >= 0 ? load(static_cast<uint32_t>(input), value, linear(graph.type(value).dims, index))
                           : compute(*graph.definingOp(value), value, index);
  if (input < 0 && rounds[value])
    result = rounded(result, graph.type(value).dtype);
  // What is not a plain function of its operands' names was placed by whoever printed it.
  size_t home = static_cast<size_t>(std::max(result.level, sources.empty() ? 0 : floorLevel(index)));
  return scopes[std::min(home, scopes.size() - 1)].known[key] = result;
}

Expr Emitter::elementAt(uint32_t value, const Expr &at) { return element(value, unlinear(graph.type(value).dims, at)); }

Expr Emitter::load(uint32_t place, uint32_t value, const Expr &at) {
  kiln_dtype dtype = graph.type(value).dtype;
  Expr index = bind(indexType(), at);
  int home = std::max(index.level, std::max(guardLevel(), orderLevel));
  return bind(registerType(dtype), {fromStorage(dtype, around.load(place, dtype, index.text)), home, {}});
}

void Emitter::store(uint32_t place, kiln_dtype dtype, const Expr &at, const Expr &element) {
  Expr index = bind(indexType(), at);
  line(around.store(place, dtype, index.text, toStorage(dtype, element.text)));
}

std::vector<Expr> Emitter::outputElements(const std::vector<uint32_t> &outputs, const Index &index) {
  std::vector<Expr> elements;
  for (uint32_t output : outputs) {
    uint32_t value = graph.outputs[output];
    elements.push_back(bind(registerType(graph.type(value).dtype), element(value, index)));
  }
  return elements;
}

void Emitter::storeElements(const std::vector<uint32_t> &outputs, const std::vector<Expr> &elements, const Expr &at) {
  for (size_t i = 0; i < outputs.size(); ++i)
    store(static_cast<uint32_t>(graph.inputs.size()) + outputs[i], graph.type(graph.outputs[outputs[i]]).dtype, at,
          elements[i]);
}

void Emitter::ordered() {
  for (Scope &scope : scopes)
    scope.known.clear();
  orderLevel = level();
}

Expr Emitter::compute(const Op &op, uint32_t value, const Index &index) {
  if (isElementwise(op.code))
    return elementwise(op, index);
  return isWhole(op.code) ? whole(op, value, index) : layout(op, value, index);
}

Expr Emitter::elementwise(const Op &op, const Index &index) {
  kiln_dtype dtype = graph.type(op.operands[0]).dtype;
  std::vector<Expr> in;
  for (uint32_t operand : op.operands)
    in.push_back(element(operand, index));
  switch (op.code) {
  case OpCode::Compare:
    return compare(op.text("predicate"), in[0], in[1], dtype);
  case OpCode::Select:
    return select(in[0], in[1], in[2], graph.type(op.results[0]).dtype);
  case OpCode::Convert:
    return convert(in[0], dtype, graph.type(op.results[0]).dtype);
  case OpCode::Bitcast:
    return bitcast(in[0], dtype, graph.type(op.results[0]).dtype);
  case OpCode::StopGradient:
    return in[0];
  default:
    return in.size() == 1 ? unary(op.code, in[0], dtype) : binary(op.code, in[0], in[1], dtype, &op);
  }
}

//===-- Indices ---------------------------------------------------------------------------------------------------===//

Expr Emitter::index(int64_t value) const {
  std::string text = std::to_string(value);
  if (options.wideIndex && (value > std::numeric_limits<int32_t>::max() || value < std::numeric_limits<int32_t>::min()))
    text += language().longSuffix;
  return {value < 0 ? "(" + text + ")" : text, 0, value, false, value};
}

Expr Emitter::extent(const kiln_extent &extent) {
  if (extent.slot < 0)
    return index(extent.value);
  return bind(indexType(), {cast(indexType(), around.extent(extent.slot)), 0, {}, false, graph.bound(extent)});
}

/// Of an index that is made of others, none of them negative.
static Expr atMost(Expr expr, int64_t most) {
  expr.most = most;
  return expr;
}
static int64_t joinMost(const Expr &a, const Expr &b, bool (*overflows)(int64_t, int64_t, int64_t *)) {
  int64_t result = -1;
  return a.most < 0 || b.most < 0 || overflows(a.most, b.most, &result) ? -1 : result;
}

Expr Emitter::inParentheses(const std::string &text, std::initializer_list<Expr> operands) const {
  Expr result{"(" + text + ")", 0, {}};
  for (const Expr &operand : operands) {
    result.level = std::max(result.level, operand.level);
    result.changes = result.changes || operand.changes;
  }
  return result;
}

Expr Emitter::add(const Expr &a, const Expr &b) {
  if (a.constant && b.constant)
    return index(*a.constant + *b.constant);
  if (a.constant == 0)
    return b;
  if (b.constant == 0)
    return a;
  auto sum = [](int64_t x, int64_t y, int64_t *to) { return __builtin_add_overflow(x, y, to); };
  return atMost(inParentheses(a.text + " + " + b.text, {a, b}), joinMost(a, b, sum));
}
Expr Emitter::sub(const Expr &a, const Expr &b) {
  if (a.constant && b.constant)
    return index(*a.constant - *b.constant);
  if (a.text == b.text)
    return index(0);
  if (b.constant == 0)
    return a;
  return atMost(inParentheses(a.text + " - " + b.text, {a, b}), b.constant && *b.constant < 0 ? -1 : a.most);
}
Expr Emitter::mul(const Expr &a, const Expr &b) {
  if (a.constant && b.constant)
    return index(*a.constant * *b.constant);
  if (a.constant == 0 || b.constant == 0)
    return index(0);
  if (a.constant == 1)
    return b;
  if (b.constant == 1)
    return a;
  auto product = [](int64_t x, int64_t y, int64_t *to) { return __builtin_mul_overflow(x, y, to); };
  return atMost(inParentheses(a.text + " * " + b.text, {a, b}), joinMost(a, b, product));
}
Expr Emitter::div(const Expr &a, const Expr &b) {
  if (b.constant == 1 || a.constant == 0)
    return a;
  if (a.constant && b.constant && *b.constant > 0)
    return index(*a.constant / *b.constant);
  return atMost(inParentheses(a.text + " / " + b.text, {a, b}),
                b.constant && *b.constant > 0 && a.most >= 0 ? a.most / *b.constant : a.most);
}
Expr Emitter::mod(const Expr &a, const Expr &b) {
  if (b.constant == 1 || a.constant == 0)
    return index(0);
  if (a.constant && b.constant && *b.constant > 0)
    return index(*a.constant % *b.constant);
  return atMost(inParentheses(a.text + " % " + b.text, {a, b}),
                b.most > 0 && (a.most < 0 || b.most <= a.most) ? b.most - 1 : a.most);
}
Expr Emitter::clamp(const Expr &a, const Expr &low, const Expr &high) {
  if (a.constant && low.constant && high.constant)
    return index(std::max(*low.constant, std::min(*a.constant, *high.constant)));
  Expr x = bind(indexType(), a), top = bind(indexType(), high);
  return bind(indexType(), inParentheses(x.text + " < " + low.text + " ? " + low.text + " : " + x.text + " > " +
                                             top.text + " ? " + top.text + " : " + x.text,
                                         {x, low, top}));
}

Expr Emitter::elements(const std::vector<kiln_extent> &dims) {
  Expr product = index(1);
  for (const kiln_extent &dim : dims)
    product = mul(product, extent(dim));
  return bind(indexType(), product);
}

/// What two index lists have in common when they mean the same row-major index.
std::string Emitter::linearKey(const std::vector<kiln_extent> &dims, const Index &index) {
  std::string key;
  for (size_t d = 0; d < dims.size(); ++d)
    if (!isOne(dims[d]))
      key += index[d].text + "/" +
             (dims[d].slot < 0 ? std::to_string(dims[d].value) : "@" + std::to_string(dims[d].slot)) + ",";
  return key;
}

Expr Emitter::linear(const std::vector<kiln_extent> &dims, const Index &at) {
  if (auto found = linearOf.find(linearKey(dims, at)); found != linearOf.end() && found->second.level <= level())
    return found->second;
  Expr sum = index(0);
  for (size_t d = 0; d < dims.size(); ++d) {
    bool one = isOne(dims[d]);
    sum = one ? sum : add(mul(sum, extent(dims[d])), at[d]);
  }
  return sum;
}

Index Emitter::unlinear(const std::vector<kiln_extent> &dims, const Expr &linear) {
  Index result(dims.size(), index(0));
  if (dims.empty())
    return result;
  Expr at = bind(indexType(), linear), rest = at;
  size_t first = 0; // the outermost axis that is not of extent 1 needs no remainder
  while (first + 1 < dims.size() && isOne(dims[first]))
    ++first;
  for (size_t d = dims.size(); d-- > first;) {
    if (isOne(dims[d]))
      continue;
    Expr size = extent(dims[d]);
    result[d] = d == first ? rest : mod(rest, size);
    rest = div(rest, size);
  }
  linearOf[linearKey(dims, result)] = at;
  return result;
}

} // namespace kiln::sdk
