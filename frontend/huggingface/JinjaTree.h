// What a template is parsed into, and the pieces of its evaluation.
#pragma once

#include "frontend/huggingface/Jinja.h"

#include <optional>

namespace kiln::jinja {

/// The limits of a template and of one rendering.
constexpr size_t maxText = size_t{1} << 18;
constexpr size_t maxItems = 10'000;
constexpr int maxDepth = 200;
constexpr int64_t maxWork = 500'000; ///< steps, and bytes that are read or made, 16 a step

/// An expression or a statement; which of the members it has says its kind.
struct Node {
  enum class Kind : uint8_t {
    // expressions
    Literal,   // value
    Name,      // text
    List,      // parts
    Map,       // parts: key, value, …
    Attribute, // parts: object; text
    Item,      // parts: object, index
    Slice,     // parts: object, begin, end, step; null for none
    Call,      // parts: what, arguments…; named
    Filter,    // parts: value, arguments…; named; text
    Test,      // parts: value, arguments…; text
    Not,       // parts: value
    Negate,    // parts: value
    Binary,    // parts: left, right; text
    Compare,   // parts: first, second, …; operators
    Choice,    // parts: condition, then, else (null for none)
    // statements
    Block,   // parts: statements
    Plain,   // text
    Output,  // parts: expression
    If,      // parts: condition, block, …, block (null for none)
    For,     // targets; parts: list, condition (null for none), block, block of an empty list (null for none)
    Set,     // targets; text: a namespace's; parts: expression, or a block
    Macro,   // text: name; named: parameters and their defaults (null for none); parts: block
    Through, // text: filter; parts: block, arguments…
    Break,
    Continue,
  } kind;
  int line = 0;
  int depth = 1;
  std::string text;
  Value value;
  std::vector<std::unique_ptr<Node>> parts;
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> named;
  std::vector<std::string> targets, operators;
};

using Nodes = std::vector<std::unique_ptr<Node>>;

/// Throws Error with the line before it.
[[noreturn]] void failAt(int line, const std::string &why);

std::unique_ptr<Node> parseTemplate(std::string_view text);

using Named = std::vector<std::pair<std::string, Value>>;

bool isTrue(const Value &value);
bool areEqual(const Value &a, const Value &b);
/// How a value is told in a message: "a text", "undefined 'x'".
std::string describe(const Value &value);
/// As Python's str() has it. Throws Error for lists and maps, whose texts differ by their origins.
std::string textOf(const Value &value);
std::string jsonOf(const Value &value);
/// What a loop goes over: the items of a list, the keys of a map, the characters of a text. Throws Error.
std::vector<Value> itemsOf(const Value &value);
/// A key of the map as a template sees it.
Value keyOf(const Value &map, const std::string &key);
/// How many steps it is to go through a value.
int64_t weightOf(const Value &value);

/// Throw Error for a name that is not known, or arguments that do not fit.
Value applyFilter(const std::string &name, const Value &value, const std::vector<Value> &arguments, const Named &named);
bool applyTest(const std::string &name, const Value &value, const std::vector<Value> &arguments);
/// Null where such a value has no such method.
std::optional<Value> callMethod(const Value &value, const std::string &name, const std::vector<Value> &arguments);

} // namespace kiln::jinja
