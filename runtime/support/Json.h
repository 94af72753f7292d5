// JSON values with accessors that check: what is read may be damaged, and an error names the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

class Json {
public:
  enum class Kind : uint8_t { Null, Bool, Int, Float, String, Array, Object };

  /// Parses one whole document of at most `maxDepth` levels; throws Error ("WHAT: byte 12: ...").
  static Json parse(std::string_view text, const std::string &what, int maxDepth = 200);

  Kind kind() const { return kind_; }
  bool isString() const { return kind_ == Kind::String; }
  bool isInt() const { return kind_ == Kind::Int; }
  bool isNumber() const { return kind_ == Kind::Int || kind_ == Kind::Float; }
  bool isArray() const { return kind_ == Kind::Array; }
  bool isObject() const { return kind_ == Kind::Object; }
  bool isNull() const { return kind_ == Kind::Null; }

  // Each throws Error naming this value's key when it is of another kind.
  int64_t integer() const;
  int64_t integer(int64_t least, int64_t most) const;
  double number() const;
  bool boolean() const;
  const std::string &string() const;
  const std::vector<Json> &array() const;
  /// The members, in order; each one's key() is its name.
  const std::vector<Json> &object() const;

  const std::string &key() const { return key_; }
  /// Null when absent (or null).
  const Json *find(std::string_view key) const;
  const Json &at(std::string_view key) const;

  int64_t integerOr(std::string_view key, int64_t fallback) const;
  double numberOr(std::string_view key, double fallback) const;
  bool booleanOr(std::string_view key, bool fallback) const;
  std::string stringOr(std::string_view key, std::string_view fallback) const;

  /// As JSON, without spaces.
  std::string str() const;

  // For tests and for values built in code.
  static Json ofInteger(int64_t value);
  static Json ofString(std::string value);
  static Json ofStrings(const std::vector<std::string> &values);
  /// Of an object: in place of the member of that name, or as a new one.
  void put(const std::string &key, Json value);
  /// Of an object: the member of that name, where there is one.
  void remove(std::string_view key);

private:
  friend class JsonParser;
  [[noreturn]] void wrong(const char *expected) const;

  Kind kind_ = Kind::Null;
  bool bool_ = false;
  int64_t int_ = 0;
  double float_ = 0;
  std::string key_, string_;
  std::vector<Json> children_;
};

/// "text" with quotes and escapes.
std::string jsonQuote(std::string_view text);
/// A number as JSON has it; null for what JSON cannot say.
std::string jsonNumber(double value);
std::string jsonNumber(float value);

} // namespace kiln
