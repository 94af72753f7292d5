// Parsing and the checked accessors.

#include "runtime/support/Json.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace kiln {

/// Reads a document in one pass and without recursion: what is open stands on a path. (A library's parser was a
/// fifteenth of a program: nlohmann's came with its binary formats.)
class JsonParser {
public:
  JsonParser(std::string_view text, int maxDepth) : text_(text), maxDepth_(maxDepth) {}
  std::string error; ///< where run() fails

  bool run(Json &root) {
    if (text_.substr(0, byteOrderMark.size()) == byteOrderMark)
      at_ = token_ = byteOrderMark.size();
    for (bool more = true; more;) {
      skipSpace();
      Json &json = path_.empty() ? root : add();
      if (peek() == '[' || peek() == '{') {
        if (!open(json))
          return false;
        skipSpace();
        if (peek() != closing()) {
          if (json.kind_ == Json::Kind::Object && !key())
            return false;
          continue;
        }
      } else if (!scalar(json)) {
        return false;
      }
      if (!afterValue(more))
        return false;
    }
    return true;
  }

private:
  /// Behind the text: what begins and continues nothing.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char closing() const { return path_.back()->kind_ == Json::Kind::Object ? '}' : ']'; }

  void skipSpace() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t')
      ++at_;
  }

  /// The byte at `at_` is wrong.
  bool bad() {
    std::string near;
    for (char c : text_.substr(token_, at_ + 1 - token_).substr(0, 40))
      near += static_cast<unsigned char>(c) < 0x20 ? format("<U+%04X>", static_cast<unsigned>(c)) : std::string(1, c);
    size_t shown = utf8Prefix(std::string_view(near).substr(0, 40)); // a terminal is given text alone
    error = format("byte %zu: not valid JSON near '%.*s'", at_ + 1, static_cast<int>(shown), near.c_str());
    return false;
  }

  /// What stands here may be right elsewhere: all of it is told.
  bool unexpected() {
    Json other;
    if (scalar(other)) {
      --at_;
      bad();
    }
    return false;
  }

  Json &add() {
    Json &parent = *path_.back();
    Json &child = parent.children_.emplace_back();
    child.key_ = parent.kind_ == Json::Kind::Object ? std::move(key_) : parent.key_;
    return child;
  }

  bool open(Json &json) {
    json.kind_ = text_[at_++] == '{' ? Json::Kind::Object : Json::Kind::Array;
    if (static_cast<int>(path_.size()) >= maxDepth_) {
      error = format("nested more than %d levels deep", maxDepth_);
      return false;
    }
    // Pointers into a parent's children stay valid while one of them is open: the parent grows only after.
    path_.push_back(&json);
    return true;
  }

  bool key() {
    skipSpace();
    if (peek() != '"')
      return unexpected();
    key_.clear();
    if (!string(key_))
      return false;
    skipSpace();
    if (peek() != ':')
      return unexpected();
    ++at_;
    return true;
  }

  /// Closes what ends here, up to the next value; `more`: is there one?
  bool afterValue(bool &more) {
    for (;;) {
      skipSpace();
      if (path_.empty()) {
        more = false;
        return at_ == text_.size() || unexpected();
      }
      if (peek() == ',') {
        ++at_;
        return path_.back()->kind_ == Json::Kind::Array || key();
      }
      if (peek() != closing())
        return unexpected();
      ++at_;
      if (path_.back()->kind_ == Json::Kind::Object && !keysDiffer())
        return false;
      path_.pop_back();
    }
  }

  bool keysDiffer() {
    std::vector<std::string_view> keys;
    for (const Json &member : path_.back()->children_)
      keys.push_back(member.key_);
    std::sort(keys.begin(), keys.end());
    auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end())
      error = "the key '" + std::string(*twice) + "' stands twice in one object";
    return twice == keys.end();
  }

  bool scalar(Json &json) {
    switch (peek()) {
    case '"':
      json.kind_ = Json::Kind::String;
      return string(json.string_);
    case 't':
      json.kind_ = Json::Kind::Bool;
      json.bool_ = true;
      return word("true");
    case 'f':
      json.kind_ = Json::Kind::Bool;
      return word("false");
    case 'n':
      return word("null");
    default:
      return number(json);
    }
  }

  bool word(std::string_view expected) {
    for (char c : expected) {
      if (peek() != c)
        return bad();
      ++at_;
    }
    return true;
  }

  bool isDigit() const { return peek() >= '0' && peek() <= '9'; }
  bool digits() {
    if (!isDigit())
      return bad();
    while (isDigit())
      ++at_;
    return true;
  }

  bool number(Json &json) {
    if (peek() == '-' || isDigit())
      token_ = at_;
    size_t begin = at_;
    at_ += peek() == '-';
    bool whole = true;
    if (peek() == '0')
      ++at_;
    else if (!digits())
      return false;
    if (peek() == '.') {
      ++at_, whole = false;
      if (!digits())
        return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_, whole = false;
      at_ += peek() == '+' || peek() == '-';
      if (!digits())
        return false;
    }
    const char *first = text_.data() + begin, *last = text_.data() + at_;
    json.kind_ = Json::Kind::Int;
    if (whole && std::from_chars(first, last, json.int_).ec == std::errc())
      return true;
    json.kind_ = Json::Kind::Float;
    // What is too small becomes a zero, what is too large is an error; from_chars tells neither of the two.
    if (std::from_chars(first, last, json.float_).ec != std::errc() || std::isinf(json.float_))
      json.float_ = std::strtod(std::string(first, last).c_str(), nullptr);
    if (!std::isinf(json.float_))
      return true;
    --at_;
    return bad();
  }

  bool string(std::string &text) {
    token_ = at_++;
    for (;;) {
      size_t plain = at_;
      while (plain < text_.size() && text_[plain] != '"' && text_[plain] != '\\' &&
             static_cast<unsigned char>(text_[plain] - 0x20) < 0x60)
        ++plain;
      text.append(text_, at_, plain - at_);
      at_ = plain;
      if (at_ == text_.size() || static_cast<unsigned char>(peek()) < 0x20)
        return bad();
      if (peek() == '"') {
        ++at_;
        return true;
      }
      if (peek() == '\\') {
        ++at_;
        if (!escape(text))
          return false;
      } else if (size_t length = utf8Length(text_, at_)) {
        text.append(text_, at_, length);
        at_ += length;
      } else {
        at_ += static_cast<unsigned char>(peek()) >= 0xc2 && static_cast<unsigned char>(peek()) < 0xf5; // the next one
        return bad();
      }
    }
  }

  /// Behind a backslash.
  bool escape(std::string &text) {
    constexpr std::string_view letters = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    if (size_t which = letters.find(peek()); which != letters.npos) {
      text += meant[which];
      ++at_;
      return true;
    }
    uint32_t code = 0, low = 0;
    if (!hexadecimal(code))
      return false;
    if (code >= 0xd800 && code < 0xdc00) { // the first half of a pair
      if (!word("\\") || !hexadecimal(low))
        return false;
      code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : 0xd800;
    }
    if (code >= 0xd800 && code < 0xe000) {
      --at_;
      return bad();
    }
    appendUtf8(text, code);
    return true;
  }

  /// u and four digits.
  bool hexadecimal(uint32_t &code) {
    if (!word("u"))
      return false;
    for (int i = 0; i < 4; ++i, ++at_) {
      int letter = peek() | 0x20;
      if (!isDigit() && (letter < 'a' || letter > 'f'))
        return bad();
      code = code << 4 | static_cast<uint32_t>(isDigit() ? peek() - '0' : letter - 'a' + 10);
    }
    return true;
  }

  std::string_view text_;
  int maxDepth_;
  size_t at_ = 0, token_ = 0; ///< the next byte; where the last string or number begins
  std::vector<Json *> path_;
  std::string key_;
};

Json Json::parse(std::string_view text, const std::string &what, int maxDepth) {
  Json root;
  JsonParser parser(text, maxDepth);
  if (!parser.run(root))
    throw Error(what + ": " + parser.error);
  return root;
}

void Json::wrong(const char *expected) const {
  static const char *const names[] = {"null", "a boolean", "an integer", "a number", "a string", "a list", "an object"};
  fail("'%s': expected %s, found %s", key_.c_str(), expected, names[static_cast<int>(kind_)]);
}

int64_t Json::integer() const {
  if (kind_ != Kind::Int)
    wrong("an integer");
  return int_;
}

int64_t Json::integer(int64_t least, int64_t most) const {
  int64_t value = integer();
  if (value < least || value > most)
    fail("'%s': %lld is outside %lld to %lld", key_.c_str(), static_cast<long long>(value),
         static_cast<long long>(least), static_cast<long long>(most));
  return value;
}

double Json::number() const {
  if (kind_ == Kind::Int)
    return static_cast<double>(int_);
  if (kind_ == Kind::String && (string_ == "inf" || string_ == "-inf" || string_ == "nan"))
    return string_ == "inf" ? HUGE_VAL : string_ == "nan" ? NAN : -HUGE_VAL;
  if (kind_ != Kind::Float)
    wrong("a number");
  return float_;
}

bool Json::boolean() const {
  if (kind_ != Kind::Bool)
    wrong("a boolean");
  return bool_;
}

const std::string &Json::string() const {
  if (kind_ != Kind::String)
    wrong("a string");
  return string_;
}

const std::vector<Json> &Json::array() const {
  if (kind_ != Kind::Array)
    wrong("a list");
  return children_;
}

const std::vector<Json> &Json::object() const {
  if (kind_ != Kind::Object)
    wrong("an object");
  return children_;
}

const Json *Json::find(std::string_view key) const {
  if (kind_ == Kind::Object)
    for (const Json &child : children_)
      if (child.key_ == key)
        return child.kind_ == Kind::Null ? nullptr : &child;
  return nullptr;
}

const Json &Json::at(std::string_view key) const {
  if (kind_ != Kind::Object)
    wrong("an object");
  if (const Json *found = find(key))
    return *found;
  fail("'%.*s' is missing in '%s'", static_cast<int>(key.size()), key.data(), key_.c_str());
}

int64_t Json::integerOr(std::string_view key, int64_t fallback) const {
  const Json *found = find(key);
  return found ? found->integer() : fallback;
}

double Json::numberOr(std::string_view key, double fallback) const {
  const Json *found = find(key);
  return found ? found->number() : fallback;
}

bool Json::booleanOr(std::string_view key, bool fallback) const {
  const Json *found = find(key);
  return found ? found->boolean() : fallback;
}

std::string Json::stringOr(std::string_view key, std::string_view fallback) const {
  const Json *found = find(key);
  return found ? found->string() : std::string(fallback);
}

Json Json::ofInteger(int64_t value) {
  Json json;
  json.kind_ = Kind::Int;
  json.int_ = value;
  return json;
}

Json Json::ofString(std::string value) {
  Json json;
  json.kind_ = Kind::String;
  json.string_ = std::move(value);
  return json;
}

Json Json::ofStrings(const std::vector<std::string> &values) {
  Json json;
  json.kind_ = Kind::Array;
  for (const std::string &value : values)
    json.children_.push_back(ofString(value));
  return json;
}

void Json::put(const std::string &key, Json value) {
  value.key_ = key;
  for (Json &member : children_)
    if (member.key_ == key) {
      member = std::move(value);
      return;
    }
  children_.push_back(std::move(value));
}

void Json::remove(std::string_view key) {
  std::erase_if(children_, [&](const Json &member) { return member.key_ == key; });
}

std::string jsonQuote(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += '\\', quoted += c;
    else if (c == '\n')
      quoted += "\\n";
    else if (byte < 0x20)
      quoted += format("\\u%04x", byte);
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string Json::str() const {
  switch (kind_) {
  case Kind::Null:
    return "null";
  case Kind::Bool:
    return bool_ ? "true" : "false";
  case Kind::Int:
    return std::to_string(int_);
  case Kind::Float:
    return jsonNumber(float_);
  case Kind::String:
    return jsonQuote(string_);
  default:
    break;
  }
  std::string text;
  for (const Json &child : children_)
    text += (text.empty() ? "" : ",") + (isObject() ? jsonQuote(child.key_) + ":" : std::string()) + child.str();
  return isObject() ? "{" + text + "}" : "[" + text + "]";
}

std::string jsonNumber(double value) { return std::isfinite(value) ? shortest(value) : "null"; }
std::string jsonNumber(float value) { return std::isfinite(value) ? shortest(value) : "null"; }

} // namespace kiln
