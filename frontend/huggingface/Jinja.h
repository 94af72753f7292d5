// The part of Jinja that chat templates are written in, as transformers renders them: with trim_blocks, lstrip_blocks
// and loop controls.
//
// Rendering is bounded: in steps, in bytes that are made, in how deep calls and values lie. Nothing can be reached but
// what the caller gives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::jinja {

struct Node;

struct Value {
  enum class Kind : uint8_t { Undefined, None, Bool, Int, Float, Text, List, Map, Namespace, Macro } kind = Kind::None;
  int64_t whole = 0; ///< of Bool, Int
  double number = 0; ///< of Float
  std::string text;  ///< of Text; of Undefined: its name, for messages
  std::shared_ptr<std::vector<Value>> list;
  std::shared_ptr<std::vector<std::pair<std::string, Value>>> map; ///< of Map, Namespace; in order
  bool wholeKeys = false;                                          ///< of Map: its keys are whole numbers
  const Node *macro = nullptr;
  uint8_t depth = 0;   ///< how deep lists and maps lie in it
  uint32_t weight = 0; ///< of List and Map: how much it is to go through all of it

  static Value of(bool value);
  static Value of(int64_t value);
  static Value ofNumber(double value);
  static Value of(std::string value);
  static Value undefined(std::string name);
  /// Throws Error where they lie too deep, are too many, or hold a namespace.
  static Value listOf(std::vector<Value> items);
  static Value mapOf(std::vector<std::pair<std::string, Value>> items);

  bool is(Kind asked) const { return kind == asked; }
  bool isNumber() const { return kind == Kind::Bool || kind == Kind::Int || kind == Kind::Float; }
  double asNumber() const { return kind == Kind::Float ? number : static_cast<double>(whole); }
  /// Null where the map has no such key.
  const Value *find(std::string_view key) const;
};

/// What the place of a date ends with, where `strftime_now` is a text: that text, the date's format, and this.
inline constexpr const char *dateEnd = "]qzjx";

class Template {
public:
  /// Throws Error: what is wrong, and in which line.
  static Template parse(std::string_view text);

  /// The text with these variables; `strftime_now` is the time that the function of this name tells, in seconds since
  /// 1970, or a text (dateEnd). Throws Error, also for what the template itself raises.
  std::string render(const std::map<std::string, Value, std::less<>> &variables) const;

private:
  std::shared_ptr<const Node> body_;
};

} // namespace kiln::jinja
