// Goes through a template's tree and writes its text.
#include "frontend/huggingface/JinjaTree.h"

#include "runtime/support/Error.h"
#include "runtime/text/Turns.h"

#include <algorithm>
#include <cmath>

namespace kiln::jinja {

namespace {

using NK = Node::Kind;
using Kind = Value::Kind;

/// How a block ended.
enum class Flow : uint8_t { On, Break, Continue };

/// Where an index of Python's lies in `size`; a negative one counts from the end.
int64_t placed(int64_t index, int64_t size) { return index < 0 ? index + size : index; }

class Rendering {
public:
  explicit Rendering(const std::map<std::string, Value, std::less<>> &variables) : scopes_{{}} {
    for (const auto &[name, value] : variables)
      scopes_[0].insert_or_assign(name, value);
  }

  std::string run(const Node &body) {
    std::string out;
    block(body, out);
    return out;
  }

private:
  void work(int64_t amount) {
    if ((work_ += amount) > maxWork)
      throw Error("it takes too long: more than a conversation's template does");
  }
  struct Level {
    explicit Level(Rendering &rendering) : rendering(rendering) {
      rendering.work(1);
      if (++rendering.level_ > 2 * maxDepth)
        throw Error("its parts and macros lie too deep in each other");
    }
    ~Level() { --rendering.level_; }
    Rendering &rendering;
  };
  const Node &part(const Node &node, size_t i) const { return *node.parts[i]; }

  // Statements.
  Flow block(const Node &node, std::string &out) {
    for (const std::unique_ptr<Node> &statement : node.parts)
      if (Flow flow = execute(*statement, out); flow != Flow::On)
        return flow;
    return Flow::On;
  }
  void write(std::string &out, const std::string &text) {
    work(1 + static_cast<int64_t>(text.size() / 16));
    out += text;
    if (out.size() > maxText)
      throw Error("its text grows beyond 256 KiB");
  }
  Flow execute(const Node &node, std::string &out);
  Flow branch(const Node &node, std::string &out);
  Flow loop(const Node &node, std::string &out);
  void set(const Node &node);
  void assign(const Node &node, const std::vector<std::string> &targets, const Value &value);
  std::vector<Value> chosen(const Node &node);
  Value loopValue(const std::vector<Value> &items, size_t i) const;

  // Expressions.
  Value evaluate(const Node &node);
  Value binary(const Node &node);
  Value concatenated(std::string a, const std::string &b) {
    work(1 + static_cast<int64_t>((a.size() + b.size()) / 16));
    if (a.size() + b.size() > maxText)
      throw Error("a text grows beyond 256 KiB");
    return Value::of(a + b);
  }
  bool compare(const Node &node);
  bool holds(const std::string &symbol, const Value &a, const Value &b, int line);
  Value attribute(const Value &object, const std::string &name, int line);
  Value item(const Value &object, const Value &index, int line);
  Value slice(const Node &node);
  Value call(const Node &node);
  Value callMacro(const Node &macro, std::vector<Value> given, const Named &named, int line);
  std::optional<Value> callKnown(const std::string &name, const std::vector<Value> &given, const Named &named);
  const Value *find(std::string_view name) const {
    for (size_t i = scopes_.size(); i-- > 0;) {
      if (auto found = scopes_[i].find(name); found != scopes_[i].end())
        return &found->second;
      if (i == hidden_ && i > 1)
        i = 1; // a macro sees the template's own variables, not its caller's
    }
    return nullptr;
  }
  std::vector<Value> evaluateFrom(const Node &node, size_t first) {
    std::vector<Value> values;
    for (size_t i = first; i < node.parts.size(); ++i)
      values.push_back(evaluate(part(node, i)));
    return values;
  }
  Named evaluateNamed(const Node &node) {
    Named values;
    for (const auto &[name, value] : node.named)
      values.emplace_back(name, evaluate(*value));
    return values;
  }

  std::vector<std::map<std::string, Value, std::less<>>> scopes_;
  size_t hidden_ = 0; ///< below this scope, and above the first, lies a macro's caller
  int level_ = 0;
  int64_t work_ = 0;
};

Flow Rendering::execute(const Node &node, std::string &out) {
  Level level(*this);
  switch (node.kind) {
  case NK::Block:
    return block(node, out);
  case NK::Plain:
    write(out, node.text);
    return Flow::On;
  case NK::Output: {
    Value value = evaluate(part(node, 0));
    if (value.is(Kind::List) || value.is(Kind::Map))
      failAt(node.line, describe(value) + " is written; a text is expected (tojson makes one)");
    write(out, textOf(value));
    return Flow::On;
  }
  case NK::If:
    return branch(node, out);
  case NK::For:
    return loop(node, out);
  case NK::Set:
    set(node);
    return Flow::On;
  case NK::Macro: {
    Value macro;
    macro.kind = Kind::Macro;
    macro.macro = &node;
    scopes_.back().insert_or_assign(node.text, macro);
    return Flow::On;
  }
  case NK::Through: {
    std::string inner;
    block(part(node, 0), inner);
    write(out, textOf(applyFilter(node.text, Value::of(std::move(inner)), evaluateFrom(node, 1), evaluateNamed(node))));
    return Flow::On;
  }
  case NK::Break:
    return Flow::Break;
  case NK::Continue:
    return Flow::Continue;
  default:
    failAt(node.line, "a statement is expected");
  }
}

Flow Rendering::branch(const Node &node, std::string &out) {
  for (size_t i = 0; i + 1 < node.parts.size(); i += 2)
    if (isTrue(evaluate(part(node, i))))
      return block(part(node, i + 1), out);
  return node.parts.size() % 2 ? block(*node.parts.back(), out) : Flow::On;
}

/// What a loop goes over, behind its condition.
std::vector<Value> Rendering::chosen(const Node &node) {
  Value list = evaluate(part(node, 0));
  work(weightOf(list));
  std::vector<Value> items = itemsOf(list);
  if (!node.parts[1])
    return items;
  std::vector<Value> kept;
  for (const Value &item : items) {
    scopes_.emplace_back();
    assign(node, node.targets, item);
    if (isTrue(evaluate(part(node, 1))))
      kept.push_back(item);
    scopes_.pop_back();
  }
  return kept;
}

Value Rendering::loopValue(const std::vector<Value> &items, size_t i) const {
  auto at = static_cast<int64_t>(i), size = static_cast<int64_t>(items.size());
  return Value::mapOf({{"index0", Value::of(at)},
                       {"index", Value::of(at + 1)},
                       {"revindex0", Value::of(size - at - 1)},
                       {"revindex", Value::of(size - at)},
                       {"first", Value::of(at == 0)},
                       {"last", Value::of(at + 1 == size)},
                       {"length", Value::of(size)},
                       {"previtem", i > 0 ? items[i - 1] : Value::undefined("loop.previtem")},
                       {"nextitem", i + 1 < items.size() ? items[i + 1] : Value::undefined("loop.nextitem")}});
}

Flow Rendering::loop(const Node &node, std::string &out) {
  std::vector<Value> items = chosen(node);
  if (items.empty() && node.parts[3])
    return block(part(node, 3), out);
  for (size_t i = 0; i < items.size(); ++i) {
    work(1);
    scopes_.emplace_back();
    scopes_.back().insert_or_assign("loop", loopValue(items, i));
    assign(node, node.targets, items[i]);
    Flow flow = block(part(node, 2), out);
    scopes_.pop_back();
    if (flow == Flow::Break)
      break;
  }
  return Flow::On;
}

void Rendering::assign(const Node &node, const std::vector<std::string> &targets, const Value &value) {
  if (targets.size() == 1) {
    scopes_.back().insert_or_assign(targets[0], value);
    return;
  }
  work(weightOf(value));
  std::vector<Value> items = itemsOf(value);
  if (items.size() != targets.size())
    failAt(node.line, std::to_string(targets.size()) + " names are given " + std::to_string(items.size()) + " values");
  for (size_t i = 0; i < items.size(); ++i)
    scopes_.back().insert_or_assign(targets[i], items[i]);
}

void Rendering::set(const Node &node) {
  Value value;
  if (part(node, 0).kind == NK::Block) {
    std::string inner;
    block(part(node, 0), inner);
    value = Value::of(std::move(inner));
  } else {
    value = evaluate(part(node, 0));
  }
  if (node.text.empty())
    return assign(node, node.targets, value);
  const Value *found = find(node.text);
  if (!found || !found->is(Kind::Namespace))
    failAt(node.line, "'" + node.text + "' is no namespace: " + node.text + " = namespace(…) makes one");
  if (value.is(Kind::Namespace))
    failAt(node.line, "a namespace cannot hold another one");
  for (auto &[name, old] : *found->map)
    if (name == node.targets[0]) {
      old = std::move(value);
      return;
    }
  found->map->emplace_back(node.targets[0], std::move(value));
}

Value Rendering::evaluate(const Node &node) {
  Level level(*this);
  switch (node.kind) {
  case NK::Literal:
    work(static_cast<int64_t>(node.value.text.size() / 16));
    return node.value;
  case NK::Name: {
    const Value *found = find(node.text);
    work(found ? static_cast<int64_t>(found->text.size() / 16) : 0);
    return found ? *found : Value::undefined(node.text);
  }
  case NK::List:
    return Value::listOf(evaluateFrom(node, 0));
  case NK::Map: {
    Named items;
    size_t whole = 0;
    for (size_t i = 0; i < node.parts.size(); i += 2) {
      Value key = evaluate(part(node, i));
      if (!key.is(Kind::Text) && !key.is(Kind::Int))
        failAt(node.line, "a key is a text, not " + describe(key));
      whole += key.is(Kind::Int);
      items.emplace_back(textOf(key), evaluate(part(node, i + 1)));
    }
    if (whole > 0 && whole < items.size())
      failAt(node.line, "keys are texts, or all of them whole numbers");
    Value map = Value::mapOf(std::move(items));
    map.wholeKeys = whole > 0;
    return map;
  }
  case NK::Attribute:
    return attribute(evaluate(part(node, 0)), node.text, node.line);
  case NK::Item:
    return item(evaluate(part(node, 0)), evaluate(part(node, 1)), node.line);
  case NK::Slice:
    return slice(node);
  case NK::Call:
    return call(node);
  case NK::Filter: {
    Value value = evaluate(part(node, 0));
    work(weightOf(value));
    Value result = applyFilter(node.text, value, evaluateFrom(node, 1), evaluateNamed(node));
    work(weightOf(result));
    return result;
  }
  case NK::Test:
    return Value::of(applyTest(node.text, evaluate(part(node, 0)), evaluateFrom(node, 1)));
  case NK::Not:
    return Value::of(!isTrue(evaluate(part(node, 0))));
  case NK::Negate: {
    Value value = evaluate(part(node, 0));
    if (!value.isNumber())
      failAt(node.line, describe(value) + " has no negative");
    return value.is(Kind::Float) ? Value::ofNumber(-value.number) : Value::of(-value.whole);
  }
  case NK::Binary:
    return binary(node);
  case NK::Compare:
    return Value::of(compare(node));
  case NK::Choice:
    if (isTrue(evaluate(part(node, 0))))
      return evaluate(part(node, 1));
    return node.parts[2] ? evaluate(part(node, 2)) : Value::undefined("the other case of an if");
  default:
    failAt(node.line, "an expression is expected");
  }
}

Value arithmetic(const std::string &symbol, const Value &a, const Value &b, int line) {
  if (!a.isNumber() || !b.isNumber())
    failAt(line, "'" + symbol + "' between " + describe(a) + " and " + describe(b));
  bool isWhole = !a.is(Kind::Float) && !b.is(Kind::Float) && symbol != "/";
  bool divides = symbol == "/" || symbol == "//" || symbol == "%";
  if (divides && b.asNumber() == 0)
    failAt(line, "a division by zero");
  if (!isWhole) {
    double x = a.asNumber(), y = b.asNumber();
    double result = symbol == "+"    ? x + y
                    : symbol == "-"  ? x - y
                    : symbol == "*"  ? x * y
                    : symbol == "/"  ? x / y
                    : symbol == "//" ? std::floor(x / y)
                                     : x - std::floor(x / y) * y;
    return Value::ofNumber(result);
  }
  int64_t x = a.whole, y = b.whole, result = 0;
  bool beyond = symbol == "+"   ? __builtin_add_overflow(x, y, &result)
                : symbol == "-" ? __builtin_sub_overflow(x, y, &result)
                : symbol == "*" ? __builtin_mul_overflow(x, y, &result)
                                : x == INT64_MIN && y == -1;
  if (beyond)
    failAt(line, "a number grows beyond 64 bits");
  if (divides) { // towards minus infinity
    int64_t quotient = x / y - (x % y != 0 && (x < 0) != (y < 0));
    result = symbol == "//" ? quotient : x - quotient * y;
  }
  return Value::of(result);
}

Value Rendering::binary(const Node &node) {
  Value a = evaluate(part(node, 0));
  if (node.text == "or")
    return isTrue(a) ? a : evaluate(part(node, 1));
  if (node.text == "and")
    return isTrue(a) ? evaluate(part(node, 1)) : a;
  Value b = evaluate(part(node, 1));
  if (node.text == "~")
    return concatenated(textOf(a), textOf(b));
  if (node.text == "+" && a.is(Kind::Text) && b.is(Kind::Text))
    return concatenated(std::move(a.text), b.text);
  if (node.text == "+" && a.is(Kind::List) && b.is(Kind::List)) {
    work(weightOf(a) + weightOf(b));
    std::vector<Value> items = *a.list;
    items.insert(items.end(), b.list->begin(), b.list->end());
    return Value::listOf(std::move(items));
  }
  if (node.text == "*" && a.is(Kind::Text) && b.is(Kind::Int)) {
    if (b.whole > 0 && a.text.size() > maxText / static_cast<size_t>(b.whole))
      failAt(node.line, "a text grows beyond 256 KiB");
    std::string text;
    for (int64_t i = 0; i < b.whole && !a.text.empty(); ++i)
      text += a.text;
    work(static_cast<int64_t>(text.size() / 16));
    return Value::of(std::move(text));
  }
  return arithmetic(node.text, a, b, node.line);
}

bool Rendering::holds(const std::string &symbol, const Value &a, const Value &b, int line) {
  work(weightOf(a) + weightOf(b));
  if (symbol == "==" || symbol == "!=")
    return areEqual(a, b) == (symbol == "==");
  if (symbol == "in" || symbol == "not in") {
    bool found = false;
    if (b.is(Kind::Text)) {
      if (!a.is(Kind::Text))
        failAt(line, describe(a) + " is looked for in a text");
      found = b.text.find(a.text) != std::string::npos;
    } else if (b.is(Kind::Map)) {
      found = (a.is(Kind::Text) || a.is(Kind::Int)) && b.find(textOf(a));
    } else {
      for (const Value &item : itemsOf(b))
        found |= areEqual(a, item);
    }
    return found == (symbol == "in");
  }
  bool texts = a.is(Kind::Text) && b.is(Kind::Text);
  if (!texts && !(a.isNumber() && b.isNumber()))
    failAt(line, "'" + symbol + "' between " + describe(a) + " and " + describe(b));
  int order = texts ? a.text.compare(b.text) : 0;
  double x = texts ? order : a.asNumber(), y = texts ? 0 : b.asNumber();
  return symbol == "<" ? x < y : symbol == "<=" ? x <= y : symbol == ">" ? x > y : x >= y;
}

bool Rendering::compare(const Node &node) {
  Value left = evaluate(part(node, 0));
  for (size_t i = 0; i < node.operators.size(); ++i) {
    Value right = evaluate(part(node, i + 1));
    if (!holds(node.operators[i], left, right, node.line))
      return false;
    left = std::move(right);
  }
  return true;
}

Value Rendering::attribute(const Value &object, const std::string &name, int line) {
  if (object.is(Kind::Undefined))
    failAt(line, describe(object) + " has no '" + name + "'");
  const Value *found = object.find(name);
  return found ? *found : Value::undefined(name);
}

Value Rendering::item(const Value &object, const Value &index, int line) {
  if (object.is(Kind::Undefined))
    failAt(line, describe(object) + " has no items");
  if (index.is(Kind::Text) || (index.is(Kind::Int) && object.is(Kind::Map))) {
    const Value *found = object.find(textOf(index));
    return found ? *found : Value::undefined(textOf(index));
  }
  bool isText = object.is(Kind::Text);
  if (!index.is(Kind::Int) || (!isText && !object.is(Kind::List)))
    return Value::undefined("an item of " + describe(object));
  work(weightOf(object));
  std::vector<Value> items = itemsOf(object);
  int64_t size = static_cast<int64_t>(items.size()), at = placed(index.whole, size);
  return at < 0 || at >= size ? Value::undefined("item " + std::to_string(index.whole))
                              : items[static_cast<size_t>(at)];
}

Value Rendering::slice(const Node &node) {
  Value object = evaluate(part(node, 0));
  if (!object.is(Kind::Text) && !object.is(Kind::List))
    failAt(node.line, describe(object) + " has no parts to slice");
  work(weightOf(object));
  std::vector<Value> items = itemsOf(object), cut;
  auto size = static_cast<int64_t>(items.size());
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!node.parts[i + 1])
      continue;
    Value bound = evaluate(part(node, i + 1));
    if (!bound.is(Kind::Int) && !bound.is(Kind::None))
      failAt(node.line, "a slice's bounds are whole numbers, not " + describe(bound));
    if (bound.is(Kind::Int))
      bounds[i] = bound.whole;
  }
  int64_t step = bounds[2].value_or(1);
  if (step == 0)
    failAt(node.line, "a slice's step is zero");
  step = std::clamp(step, -size - 1, size + 1);
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  auto bound = [&](const std::optional<int64_t> &given, int64_t fallback) {
    return given ? std::clamp(placed(*given, size), low, high) : fallback;
  };
  int64_t begin = bound(bounds[0], step > 0 ? low : high), end = bound(bounds[1], step > 0 ? high : low);
  for (int64_t i = begin; step > 0 ? i < end : i > end; i += step)
    cut.push_back(items[static_cast<size_t>(i)]);
  if (!object.is(Kind::Text))
    return Value::listOf(std::move(cut));
  std::string text;
  for (const Value &character : cut)
    text += character.text;
  return Value::of(std::move(text));
}

std::optional<Value> Rendering::callKnown(const std::string &name, const std::vector<Value> &given,
                                          const Named &named) {
  if (name == "raise_exception")
    throw Error("the template refuses this: " + (given.empty() ? std::string("no reason given") : textOf(given[0])));
  if (const Value *clock = name == "strftime_now" ? find(name) : nullptr) {
    if (given.size() != 1 || !given[0].is(Kind::Text) || !isDateFormat(given[0].text))
      throw Error("strftime_now() takes the format of a date: %Y, %m, %d, %B, %b, %A, %a, %H, %M, …");
    return Value::of(clock->is(Kind::Int) ? dateText(given[0].text, clock->whole)
                                          : clock->text + given[0].text + dateEnd);
  }
  if (name == "namespace" || name == "dict") {
    Value map = Value::mapOf(named);
    map.kind = name == "dict" ? Kind::Map : Kind::Namespace;
    return map;
  }
  if (name != "range")
    return std::nullopt;
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < given.size() && i < 3; ++i) {
    if (!given[i].is(Kind::Int))
      throw Error("range() takes whole numbers, not " + describe(given[i]));
    bounds[i] = given[i].whole;
  }
  if (given.size() == 1)
    std::swap(bounds[0], bounds[1]);
  auto most = static_cast<int64_t>(maxItems);
  if (given.empty() || given.size() > 3 || bounds[2] == 0 ||
      std::max({std::abs(bounds[0]), std::abs(bounds[1]), std::abs(bounds[2])}) > most)
    throw Error("range() takes one to three whole numbers up to 10,000");
  std::vector<Value> items;
  for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1]; i += bounds[2])
    items.push_back(Value::of(i));
  work(static_cast<int64_t>(items.size()));
  return Value::listOf(std::move(items));
}

Value Rendering::call(const Node &node) {
  const Node &what = part(node, 0);
  std::vector<Value> given = evaluateFrom(node, 1);
  Named named = evaluateNamed(node);
  for (const Value &value : given)
    work(weightOf(value));
  if (what.kind == NK::Attribute) {
    Value object = evaluate(part(what, 0));
    work(weightOf(object));
    const Value *own = object.find(what.text);
    if (own && own->is(Kind::Macro))
      return callMacro(*own->macro, std::move(given), named, node.line);
    if (std::optional<Value> result = callMethod(object, what.text, given)) {
      work(weightOf(*result));
      return std::move(*result);
    }
    failAt(node.line, describe(object) + " has no method '" + what.text + "' that is known");
  }
  Value macro = evaluate(what);
  if (macro.is(Kind::Macro))
    return callMacro(*macro.macro, std::move(given), named, node.line);
  if (what.kind == NK::Name && (macro.is(Kind::Undefined) || what.text == "strftime_now"))
    if (std::optional<Value> result = callKnown(what.text, given, named))
      return std::move(*result);
  failAt(node.line, describe(macro) + " is no function that is known; those that are: namespace, dict, range, "
                                      "raise_exception, and macros");
}

Value Rendering::callMacro(const Node &macro, std::vector<Value> given, const Named &named, int line) {
  if (given.size() > macro.named.size())
    failAt(line, "the macro '" + macro.text + "' takes " + std::to_string(macro.named.size()) + " arguments");
  std::map<std::string, Value, std::less<>> own;
  for (size_t i = 0; i < macro.named.size(); ++i) {
    const auto &[name, fallback] = macro.named[i];
    Value value = i < given.size() ? given[i] : fallback ? evaluate(*fallback) : Value::undefined(name);
    for (const auto &[key, other] : named)
      if (key == name)
        value = other;
    own.insert_or_assign(name, std::move(value));
  }
  size_t outer = std::exchange(hidden_, scopes_.size());
  scopes_.push_back(std::move(own));
  std::string text;
  block(part(macro, 0), text);
  scopes_.pop_back();
  hidden_ = outer;
  return Value::of(std::move(text));
}

} // namespace

std::string Template::render(const std::map<std::string, Value, std::less<>> &variables) const {
  return Rendering(variables).run(*body_);
}

} // namespace kiln::jinja
