// Functions on compile-time values: lists, strings.
#include "frontend/language/Elaborate.h"

namespace kiln::language {

static Value range(BoundCall &call) {
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < call.rest.size(); ++i) {
    std::optional<int64_t> number = call.rest[i].asInteger();
    if (!number) {
      Diagnostic &diagnostic = call.e.error(call.restRanges[i], "range counts numbers known at compile time; this is " +
                                                                    describe(call.rest[i]));
      if (call.rest[i].isInteger())
        diagnostic.withHelp("for a loop over time, write scan t in " + call.rest[i].integer.str());
      return Value::error();
    }
    numbers.push_back(*number);
  }
  if (numbers.empty() || numbers.size() > 3 || (numbers.size() == 3 && numbers[2] == 0)) {
    call.e.error(call.range, "range takes an end; a begin and an end; or a begin, an end and a step that is not 0");
    return Value::error();
  }
  int64_t begin = numbers.size() > 1 ? numbers[0] : 0, end = numbers.size() > 1 ? numbers[1] : numbers[0];
  int64_t step = numbers.size() > 2 ? numbers[2] : 1;
  std::vector<Value> items;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (items.size() >= 100'000) {
      call.e.error(call.range, "range gives more than 100000 numbers").withHelp("for a loop over time, use scan");
      return Value::error();
    }
    items.push_back(Value::integerOf(i, call.range));
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return Value::listOf(std::move(items));
}

static Value len(BoundCall &call) {
  const Value &x = call.values[0];
  if (x.isTensor() && x.rank() > 0)
    return Value::integerOf(dimsOf(x.tensor)[0], call.range);
  if (x.kind == Value::Kind::String)
    return Value::integerOf(static_cast<int64_t>(x.text.size()), call.range);
  std::optional<std::vector<Value>> items = call.e.iterate(x, call.ranges[0]);
  return items ? Value::integerOf(static_cast<int64_t>(items->size()), call.range) : Value::error();
}

static Value zip(BoundCall &call) {
  std::vector<std::vector<Value>> lists;
  for (size_t i = 0; i < call.rest.size(); ++i) {
    std::optional<std::vector<Value>> items = call.e.iterate(call.rest[i], call.restRanges[i]);
    if (!items)
      return Value::error();
    if (!lists.empty() && items->size() != lists[0].size()) {
      call.e.error(call.restRanges[i], "zip wants lists of one length; this has " + std::to_string(items->size()) +
                                           " items, the first one " + std::to_string(lists[0].size()));
      return Value::error();
    }
    lists.push_back(std::move(*items));
  }
  std::vector<Value> rows;
  for (size_t i = 0; !lists.empty() && i < lists[0].size(); ++i) {
    std::vector<Value> row;
    for (const auto &list : lists)
      row.push_back(list[i]);
    rows.push_back(Value::listOf(std::move(row)));
  }
  return Value::listOf(std::move(rows));
}

static Value enumerate(BoundCall &call) {
  std::optional<std::vector<Value>> items = call.e.iterate(call.values[0], call.ranges[0]);
  if (!items)
    return Value::error();
  std::vector<Value> rows;
  for (size_t i = 0; i < items->size(); ++i)
    rows.push_back(Value::listOf({Value::integerOf(static_cast<int64_t>(i), call.range), (*items)[i]}));
  return Value::listOf(std::move(rows));
}

static Value reversed(BoundCall &call) {
  std::optional<std::vector<Value>> items = call.e.iterate(call.values[0], call.ranges[0]);
  if (!items)
    return Value::error();
  return Value::listOf(std::vector<Value>(items->rbegin(), items->rend()));
}

static Value list(BoundCall &call) {
  std::optional<std::vector<Value>> items = call.e.iterate(call.values[0], call.ranges[0]);
  return items ? Value::listOf(std::move(*items)) : Value::error();
}

/// A number as a tuple of n (of one without n), a tuple as it is: what PyTorch's modules take for "each axis".
static Value ntuple(BoundCall &call) {
  const Value &x = call.values[0];
  std::optional<int64_t> wanted = call.given(1) ? call.integer(1) : std::optional<int64_t>(1);
  if (!wanted)
    return Value::error();
  bool whole = true;
  for (const Value &item : x.isList() ? *x.items : std::vector<Value>())
    whole &= item.isInteger();
  if (x.isInteger() && *wanted >= 1 && *wanted <= 16)
    return Value::listOf(std::vector<Value>(static_cast<size_t>(*wanted), x));
  if (x.isList() && whole && (!call.given(1) || static_cast<int64_t>(x.items->size()) == *wanted))
    return x;
  call.e.error(call.ranges[0], "a number, or a tuple of " + (call.given(1) ? std::to_string(*wanted) + " " : "") +
                                   (call.given(1) && *wanted == 1 ? "number" : "numbers") + ", is expected; this is " +
                                   describe(x));
  return Value::error();
}

static Value isNumber(BoundCall &call) { return Value::booleanOf(call.values[0].isNumber()); }

static Value isConstant(BoundCall &call) {
  const Value &x = call.values[0];
  return Value::booleanOf(x.isNumber() && (!x.isInteger() || x.integer.constant()));
}

static Value dict(BoundCall &call) {
  std::vector<Value> items;
  auto names = std::make_shared<std::vector<std::string>>();
  auto add = [&](const std::string &name, const Value &value) {
    auto found = std::find(names->begin(), names->end(), name);
    if (found != names->end()) { // the last one holds, as in Python
      items[static_cast<size_t>(found - names->begin())] = value;
      return;
    }
    names->push_back(name);
    items.push_back(value);
  };
  for (size_t i = 0; i < call.rest.size(); ++i) { // pairs of a name and a value, or another dict
    const Value &given = call.rest[i];
    bool fits = call.rest.size() == 1 && given.isList();
    for (size_t k = 0; fits && k < given.items->size(); ++k) {
      const Value &pair = (*given.items)[k];
      if (given.names)
        add((*given.names)[k], pair);
      else if ((fits = pair.isList() && pair.items->size() == 2 && pair.items->front().kind == Value::Kind::String))
        add(pair.items->front().text, pair.items->back());
    }
    if (!fits) {
      if (!given.isError())
        call.e.error(call.range,
                     "dict takes names with values, dict(a=x), or a list of pairs, dict([(\"0.weight\", x)])");
      return Value::error();
    }
  }
  for (auto &[name, value] : call.named) {
    if (value.isError())
      return value;
    add(name, value);
  }
  Value value = Value::listOf(std::move(items));
  value.names = std::move(names);
  return value;
}

/// What a dict has, in its order: names, values, or pairs of them.
static Value partsOfDict(BoundCall &call, bool names, bool values) {
  const Value &dict = call.values[0];
  if (!dict.isList() || !dict.names) {
    if (!dict.isError())
      call.e.error(call.ranges[0], std::string(call.builtin.name) + " takes a dict; this is " + describe(dict))
          .withHelp(dict.kind == Value::Kind::Instance ? "parameters(part) is one, of a part's parameters" : "");
    return Value::error();
  }
  std::vector<Value> out;
  for (size_t i = 0; i < dict.items->size(); ++i) {
    Value name = Value::stringOf((*dict.names)[i]), &value = (*dict.items)[i];
    out.push_back(names && values ? Value::listOf({std::move(name), value}) : names ? std::move(name) : value);
  }
  return Value::listOf(std::move(out));
}

static Value items(BoundCall &call) { return partsOfDict(call, true, true); }
static Value keys(BoundCall &call) { return partsOfDict(call, true, false); }
static Value values(BoundCall &call) { return partsOfDict(call, false, true); }

static Value str(BoundCall &call) {
  const Value &x = call.values[0];
  if (x.kind == Value::Kind::String)
    return x;
  if (x.isInteger())
    return Value::stringOf(x.integer.str());
  if (x.kind == Value::Kind::Boolean)
    return Value::stringOf(x.boolean ? "True" : "False");
  std::string text = describe(x);
  return Value::stringOf(x.kind == Value::Kind::Float ? text.substr(std::string_view("the number ").size()) : text);
}

llvm::ArrayRef<Builtin> compileTimeBuiltins() {
  static const Builtin builtins[] = {
      // Numbers: an end; a begin and an end; or with a step.
      {"range", "*numbers", range},
      // How many items a list has, or entries the first axis.
      {"len", "x", len},
      // Lists side by side.
      {"zip", "*lists", zip},
      // (number, item) of each item.
      {"enumerate", "x", enumerate},
      // A list from its end.
      {"reversed", "x", reversed},
      // A list of the items.
      {"list", "x", list},
      // The same.
      {"tuple", "x", list},
      // Values by name: d.a or d["a"]; of names that are no words, pairs: dict([("0.weight", x)]).
      {"dict", "*pairs, **named", dict},
      // (name, value) of each item of a dict; also d.items().
      {"items", "d", items},
      // Its names; also d.keys().
      {"keys", "d", keys},
      // Its values; also d.values().
      {"values", "d", values},
      // A number as text.
      {"str", "x", str},
      // A number n times, a tuple of n as it is.
      {"ntuple", "x, n=None", ntuple},
      // Whether x is a number known at compile time.
      {"is_number", "x", isNumber},
      // Whether x is one without a dimension that the program's inputs decide.
      {"is_constant", "x", isConstant},
  };
  return builtins;
}

} // namespace kiln::language
