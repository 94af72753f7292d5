// Values of templates: what filters, tests and methods make of them.
#include "frontend/huggingface/JinjaTree.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

namespace kiln::jinja {

using Kind = Value::Kind;

Value Value::of(bool value) {
  Value result;
  result.kind = Kind::Bool;
  result.whole = value;
  return result;
}

Value Value::of(int64_t value) {
  Value result;
  result.kind = Kind::Int;
  result.whole = value;
  return result;
}

Value Value::ofNumber(double value) {
  Value result;
  result.kind = Kind::Float;
  result.number = value;
  return result;
}

Value Value::of(std::string value) {
  Value result;
  result.kind = Kind::Text;
  result.text = std::move(value);
  return result;
}

Value Value::undefined(std::string name) {
  Value result;
  result.kind = Kind::Undefined;
  result.text = std::move(name);
  return result;
}

/// Deep values are gone through by recursion, and a namespace that held itself would have no end.
static void include(Value &whole, const Value &part) {
  constexpr int deepest = 50;
  if (part.is(Kind::Namespace))
    throw Error("a list, a map or a namespace cannot hold a namespace");
  if (part.depth >= deepest)
    throw Error("lists lie too deep in each other");
  whole.depth = std::max(whole.depth, static_cast<uint8_t>(part.depth + 1));
  int64_t weight = whole.weight + 1 + weightOf(part);
  if (weight > maxWork)
    throw Error("a list or a map grows too large");
  whole.weight = static_cast<uint32_t>(weight);
}

static void requireFew(size_t items) {
  if (items > maxItems)
    throw Error("a list, a map or a text of more than 10,000 items is gone through");
}

Value Value::listOf(std::vector<Value> items) {
  Value result;
  result.kind = Kind::List;
  requireFew(items.size());
  for (const Value &item : items)
    include(result, item);
  result.list = std::make_shared<std::vector<Value>>(std::move(items));
  return result;
}

Value Value::mapOf(std::vector<std::pair<std::string, Value>> items) {
  Value result;
  result.kind = Kind::Map;
  requireFew(items.size());
  for (const auto &[key, item] : items)
    include(result, item);
  result.map = std::make_shared<std::vector<std::pair<std::string, Value>>>(std::move(items));
  return result;
}

const Value *Value::find(std::string_view key) const {
  if (map)
    for (auto item = map->rbegin(); item != map->rend(); ++item)
      if (item->first == key)
        return &item->second;
  return nullptr;
}

bool isTrue(const Value &value) {
  switch (value.kind) {
  case Kind::Undefined:
  case Kind::None:
    return false;
  case Kind::Bool:
  case Kind::Int:
    return value.whole != 0;
  case Kind::Float:
    return value.number != 0;
  case Kind::Text:
    return !value.text.empty();
  case Kind::List:
    return !value.list->empty();
  case Kind::Map:
    return !value.map->empty();
  case Kind::Namespace:
  case Kind::Macro:
    return true;
  }
  return false;
}

bool areEqual(const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return a.asNumber() == b.asNumber();
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case Kind::Text:
    return a.text == b.text;
  case Kind::List:
    return a.list == b.list || std::equal(a.list->begin(), a.list->end(), b.list->begin(), b.list->end(), areEqual);
  case Kind::Map:
    return a.map == b.map ||
           (a.map->size() == b.map->size() && std::all_of(a.map->begin(), a.map->end(), [&](const auto &item) {
              const Value *other = b.find(item.first);
              return other && areEqual(item.second, *other);
            }));
  case Kind::Namespace:
    return a.map == b.map;
  case Kind::Macro:
    return a.macro == b.macro;
  default:
    return true;
  }
}

std::string describe(const Value &value) {
  switch (value.kind) {
  case Kind::Undefined:
    return "'" + value.text + "', which is not defined,";
  case Kind::None:
    return "none";
  case Kind::Bool:
    return value.whole ? "true" : "false";
  case Kind::Int:
  case Kind::Float:
    return "the number " + textOf(value);
  case Kind::Text:
    return "a text";
  case Kind::List:
    return "a list";
  case Kind::Map:
    return "a map";
  case Kind::Namespace:
    return "a namespace";
  case Kind::Macro:
    return "a macro";
  }
  return "";
}

std::string textOf(const Value &value) {
  switch (value.kind) {
  case Kind::Undefined:
    return "";
  case Kind::None:
    return "None";
  case Kind::Bool:
    return value.whole ? "True" : "False";
  case Kind::Int:
    return std::to_string(value.whole);
  case Kind::Float: {
    std::string text = shortest(value.number);
    return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
  }
  case Kind::Text:
    return value.text;
  default:
    throw Error(describe(value) + " is taken as a text");
  }
}

std::string jsonOf(const Value &value) {
  std::string text;
  switch (value.kind) {
  case Kind::None:
    return "null";
  case Kind::Bool:
    return value.whole ? "true" : "false";
  case Kind::Int:
  case Kind::Float:
    return textOf(value);
  case Kind::Text:
    return jsonQuote(value.text);
  case Kind::List:
    for (const Value &item : *value.list)
      text += (text.empty() ? "" : ", ") + jsonOf(item);
    return "[" + text + "]";
  case Kind::Map:
    for (const auto &[key, item] : *value.map)
      text += (text.empty() ? "" : ", ") + jsonQuote(key) + ": " + jsonOf(item);
    return "{" + text + "}";
  default:
    throw Error(describe(value) + " has no form in JSON");
  }
}

Value keyOf(const Value &map, const std::string &key) {
  return map.wholeKeys ? Value::of(static_cast<int64_t>(std::strtoll(key.c_str(), nullptr, 10))) : Value::of(key);
}

std::vector<Value> itemsOf(const Value &value) {
  std::vector<Value> items;
  switch (value.kind) {
  case Kind::Undefined:
    return items;
  case Kind::List:
    return *value.list;
  case Kind::Map:
    for (const auto &[key, item] : *value.map)
      items.push_back(keyOf(value, key));
    return items;
  case Kind::Text:
    for (size_t at = 0; at < value.text.size();) {
      requireFew(items.size());
      size_t length = std::max<size_t>(1, utf8Length(value.text, at));
      items.push_back(Value::of(value.text.substr(at, length)));
      at += length;
    }
    return items;
  default:
    throw Error(describe(value) + " has no items");
  }
}

int64_t weightOf(const Value &value) { return value.weight + static_cast<int64_t>(value.text.size() / 16); }

namespace {

constexpr const char *spaces = " \t\n\r\v\f";

std::string stripped(const std::string &text, const char *characters, bool left, bool right) {
  size_t begin = left ? text.find_first_not_of(characters) : 0;
  if (begin == std::string::npos)
    return "";
  size_t end = right ? text.find_last_not_of(characters) + 1 : text.size();
  return end > begin ? text.substr(begin, end - begin) : "";
}

/// `as`: 'U'pper, 'L'ower, 'C'apitalised, 'T'itle. Letters of ASCII; others stay.
std::string cased(std::string text, char as) {
  bool begins = true;
  for (char &c : text) {
    auto letter = static_cast<unsigned char>(c);
    bool upper = as == 'U' || (as != 'L' && begins);
    if (letter < 128)
      c = static_cast<char>(upper ? std::toupper(letter) : std::tolower(letter));
    begins = as == 'T' && letter < 128 && !std::isalpha(letter);
  }
  return text;
}

const std::string &textAt(const std::vector<Value> &arguments, size_t i, const std::string &name) {
  if (i >= arguments.size() || !arguments[i].is(Kind::Text))
    throw Error("'" + name + "' takes a text");
  return arguments[i].text;
}

Value split(const std::string &text, const std::vector<Value> &arguments, bool fromRight) {
  std::vector<Value> parts;
  if (arguments.empty() || arguments[0].is(Kind::None)) {
    for (size_t at = 0; (at = text.find_first_not_of(spaces, at)) != std::string::npos;) {
      size_t end = std::min(text.find_first_of(spaces, at), text.size());
      parts.push_back(Value::of(text.substr(at, end - at)));
      requireFew(parts.size());
      at = end;
    }
    return Value::listOf(std::move(parts));
  }
  const std::string &separator = textAt(arguments, 0, "split");
  if (separator.empty())
    throw Error("'split' takes a text that is not empty");
  int64_t most = arguments.size() > 1 && arguments[1].is(Kind::Int) ? arguments[1].whole : -1;
  std::string rest = text;
  if (fromRight) {
    for (size_t at; most != 0 && (at = rest.rfind(separator)) != std::string::npos; --most) {
      requireFew(parts.size());
      parts.insert(parts.begin(), Value::of(rest.substr(at + separator.size())));
      rest.resize(at);
    }
    parts.insert(parts.begin(), Value::of(rest));
    return Value::listOf(std::move(parts));
  }
  size_t at = 0;
  for (size_t end; most != 0 && (end = text.find(separator, at)) != std::string::npos; --most) {
    requireFew(parts.size());
    parts.push_back(Value::of(text.substr(at, end - at)));
    at = end + separator.size();
  }
  parts.push_back(Value::of(text.substr(at)));
  return Value::listOf(std::move(parts));
}

std::string replaced(const std::string &text, const std::string &old, const std::string &now) {
  std::string result;
  size_t at = 0;
  for (size_t found; !old.empty() && (found = text.find(old, at)) != std::string::npos; at = found + old.size()) {
    result.append(text, at, found - at).append(now);
    if (result.size() > maxText)
      throw Error("a text grows beyond 256 KiB");
  }
  return result + text.substr(at);
}

std::string joined(const Value &value, const std::string &between) {
  std::string text;
  bool first = true;
  for (const Value &item : itemsOf(value)) {
    text += (first ? "" : between) + textOf(item);
    first = false;
    if (text.size() > maxText)
      throw Error("a text grows beyond 256 KiB");
  }
  return text;
}

std::optional<Value> textMethod(const std::string &text, const std::string &name, const std::vector<Value> &arguments) {
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const char *characters =
        arguments.empty() || arguments[0].is(Kind::None) ? spaces : textAt(arguments, 0, name).c_str();
    return Value::of(stripped(text, characters, name != "rstrip", name != "lstrip"));
  }
  if (name == "startswith" || name == "endswith") {
    std::vector<Value> ends = !arguments.empty() && arguments[0].is(Kind::List) ? *arguments[0].list : arguments;
    bool found = false;
    for (size_t i = 0; i < std::max<size_t>(1, ends.size()); ++i) {
      const std::string &end = textAt(ends, i, name);
      found |= name == "startswith" ? text.starts_with(end) : text.ends_with(end);
    }
    return Value::of(found);
  }
  if (name == "split" || name == "rsplit")
    return split(text, arguments, name == "rsplit");
  if (name == "splitlines") {
    std::vector<Value> lines = *split(text, {Value::of(std::string("\n"))}, false).list;
    if (lines.back().text.empty())
      lines.pop_back();
    return Value::listOf(std::move(lines));
  }
  if (name == "replace")
    return Value::of(replaced(text, textAt(arguments, 0, name), textAt(arguments, 1, name)));
  if (name == "find")
    if (size_t at = text.find(textAt(arguments, 0, name)); true) {
      int64_t characters = 0;
      for (size_t i = 0; at != std::string::npos && i < at; ++i)
        characters += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
      return Value::of(at == std::string::npos ? int64_t{-1} : characters);
    }
  if (name == "count") {
    const std::string &what = textAt(arguments, 0, name);
    int64_t count = 0;
    for (size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos; at += what.size())
      ++count;
    return Value::of(count);
  }
  if (name == "join")
    return arguments.size() == 1 ? std::optional(Value::of(joined(arguments[0], text))) : std::nullopt;
  for (auto [known, as] : {std::pair("upper", 'U'), {"lower", 'L'}, {"capitalize", 'C'}, {"title", 'T'}})
    if (name == known)
      return Value::of(cased(text, as));
  return std::nullopt;
}

/// Of selectattr and its like: the attribute, a test of it, and what that takes.
Value selected(const Value &value, const std::vector<Value> &arguments, bool byAttribute, bool keep) {
  std::vector<Value> kept;
  size_t test = byAttribute ? 1 : 0;
  for (const Value &item : isTrue(value) ? itemsOf(value) : std::vector<Value>()) { // of none, nothing
    const Value *what = byAttribute ? item.find(textAt(arguments, 0, "selectattr")) : &item;
    Value looked = what ? *what : Value::undefined("an attribute");
    bool holds = test < arguments.size()
                     ? applyTest(textAt(arguments, test, "select"), looked,
                                 {arguments.begin() + static_cast<ptrdiff_t>(test) + 1, arguments.end()})
                     : isTrue(looked);
    if (holds == keep)
      kept.push_back(item);
  }
  return Value::listOf(std::move(kept));
}

Value mapped(const Value &value, const std::vector<Value> &arguments, const Named &named) {
  std::vector<Value> items;
  const Value *attribute = nullptr;
  for (const auto &[key, given] : named)
    if (key == "attribute")
      attribute = &given;
  for (const Value &item : isTrue(value) ? itemsOf(value) : std::vector<Value>()) {
    if (attribute && attribute->is(Kind::Text)) {
      const Value *found = item.find(attribute->text);
      items.push_back(found ? *found : Value::undefined(attribute->text));
    } else {
      items.push_back(applyFilter(textAt(arguments, 0, "map"), item, {arguments.begin() + 1, arguments.end()}, {}));
    }
  }
  return Value::listOf(std::move(items));
}

Value pairsOf(const Value &value) {
  std::vector<Value> pairs;
  for (const auto &[key, item] : *value.map)
    pairs.push_back(Value::listOf({keyOf(value, key), item}));
  return Value::listOf(std::move(pairs));
}

std::optional<Value> listFilter(const std::string &name, const Value &value, const std::vector<Value> &arguments,
                                const Named &named) {
  if (name == "length" || name == "count")
    return Value::of(static_cast<int64_t>(itemsOf(value).size()));
  if (name == "first" || name == "last") {
    std::vector<Value> items = itemsOf(value);
    return items.empty()     ? Value::undefined("the " + name + " of nothing")
           : name == "first" ? items.front()
                             : items.back();
  }
  if (name == "list")
    return Value::listOf(itemsOf(value));
  if (name == "reverse") {
    std::vector<Value> items = itemsOf(value);
    std::reverse(items.begin(), items.end());
    return value.is(Kind::Text) ? Value::of(joined(Value::listOf(std::move(items)), ""))
                                : Value::listOf(std::move(items));
  }
  if (name == "join")
    return Value::of(joined(value, arguments.empty() ? "" : textAt(arguments, 0, name)));
  if (name == "selectattr" || name == "rejectattr")
    return selected(value, arguments, true, name == "selectattr");
  if (name == "select" || name == "reject")
    return selected(value, arguments, false, name == "select");
  if (name == "map")
    return mapped(value, arguments, named);
  if ((name == "items" || name == "dictsort") && value.is(Kind::Map)) {
    Value pairs = pairsOf(value);
    if (name == "dictsort")
      std::sort(pairs.list->begin(), pairs.list->end(), [](const Value &a, const Value &b) {
        const Value &x = (*a.list)[0], &y = (*b.list)[0];
        return x.is(Kind::Int) ? x.whole < y.whole : cased(x.text, 'L') < cased(y.text, 'L');
      });
    return pairs;
  }
  return std::nullopt;
}

} // namespace

Value applyFilter(const std::string &name, const Value &value, const std::vector<Value> &arguments,
                  const Named &named) {
  if (name == "trim")
    return Value::of(
        stripped(textOf(value), arguments.empty() ? spaces : textAt(arguments, 0, name).c_str(), true, true));
  if (name == "string")
    return Value::of(textOf(value));
  if (name == "safe")
    return value;
  if (name == "tojson") {
    if (!arguments.empty() ||
        std::any_of(named.begin(), named.end(), [](const auto &item) { return item.first == "indent"; }))
      throw Error("tojson with an indent is not known");
    return Value::of(jsonOf(value));
  }
  if (name == "default" || name == "d") {
    bool orFalse = arguments.size() > 1 && isTrue(arguments[1]);
    for (const auto &[key, given] : named)
      orFalse |= key == "boolean" && isTrue(given);
    Value fallback = arguments.empty() ? Value::of(std::string()) : arguments[0];
    return value.is(Kind::Undefined) || (orFalse && !isTrue(value)) ? fallback : value;
  }
  if (name == "int" || name == "float") {
    double number = value.is(Kind::Text) ? std::strtod(value.text.c_str(), nullptr)
                    : value.isNumber()   ? value.asNumber()
                                         : 0;
    if (!(std::abs(number) < 1e15))
      throw Error("a number is too large");
    return name == "int" ? Value::of(static_cast<int64_t>(number)) : Value::ofNumber(number);
  }
  if (name == "abs" && value.isNumber())
    return value.is(Kind::Float) ? Value::ofNumber(std::abs(value.number))
                                 : Value::of(value.whole < 0 ? -value.whole : value.whole);
  if (std::optional<Value> result = listFilter(name, value, arguments, named))
    return std::move(*result);
  for (const char *method : {"upper", "lower", "capitalize", "title", "replace"})
    if (name == method)
      return *textMethod(textOf(value), name, arguments);
  throw Error("the filter '" + name + "' is not known for " + describe(value));
}

bool applyTest(const std::string &name, const Value &value, const std::vector<Value> &arguments) {
  if (name == "defined" || name == "undefined")
    return value.is(Kind::Undefined) == (name == "undefined");
  for (auto [known, kind] : {std::pair("none", Kind::None),
                             {"string", Kind::Text},
                             {"boolean", Kind::Bool},
                             {"integer", Kind::Int},
                             {"float", Kind::Float}})
    if (name == known)
      return value.is(kind);
  if (name == "mapping")
    return value.is(Kind::Map) || value.is(Kind::Namespace);
  if (name == "iterable" || name == "sequence")
    return value.is(Kind::List) || value.is(Kind::Text) || value.is(Kind::Map) || value.is(Kind::Undefined);
  if (name == "number")
    return value.isNumber();
  if (name == "callable")
    return value.is(Kind::Macro);
  if (name == "true" || name == "false")
    return value.is(Kind::Bool) && value.whole == (name == "true");
  if (name == "odd" || name == "even")
    return value.is(Kind::Int) && (value.whole % 2 != 0) == (name == "odd");
  if (arguments.size() == 1 && (name == "equalto" || name == "eq" || name == "==" || name == "sameas"))
    return areEqual(value, arguments[0]);
  if (arguments.size() == 1 && (name == "ne" || name == "!="))
    return !areEqual(value, arguments[0]);
  if (arguments.size() == 1 && name == "in") {
    std::vector<Value> items = itemsOf(arguments[0]);
    return std::any_of(items.begin(), items.end(), [&](const Value &item) { return areEqual(value, item); });
  }
  throw Error("the test '" + name + "' is not known");
}

std::optional<Value> callMethod(const Value &value, const std::string &name, const std::vector<Value> &arguments) {
  if (value.is(Kind::Text))
    return textMethod(value.text, name, arguments);
  if (!value.is(Kind::Map))
    return std::nullopt;
  if (name == "get" && !arguments.empty()) {
    const Value *found = value.find(textAt(arguments, 0, name));
    return found ? *found : arguments.size() > 1 ? arguments[1] : Value();
  }
  if (name == "items")
    return pairsOf(value);
  if (name == "keys" || name == "values") {
    std::vector<Value> items;
    for (const auto &[key, item] : *value.map)
      items.push_back(name == "keys" ? keyOf(value, key) : item);
    return Value::listOf(std::move(items));
  }
  return std::nullopt;
}

} // namespace kiln::jinja
