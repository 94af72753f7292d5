// Parsing and the checked accessors.

#include "runtime/support/Json.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cmath>
#define JSON_NO_IO 1
#include <nlohmann/json.hpp>

namespace kiln {

/// Receives nlohmann's parse events, which come without recursion, and builds our values.
class JsonBuilder {
public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  JsonBuilder(Json &root, int maxDepth) : root_(root), maxDepth_(maxDepth) {}
  std::string error;

  bool null() { return add() != nullptr; }
  bool boolean(bool value) {
    Json *json = add();
    json->kind_ = Json::Kind::Bool;
    json->bool_ = value;
    return true;
  }
  bool number_integer(number_integer_t value) {
    Json *json = add();
    json->kind_ = Json::Kind::Int;
    json->int_ = value;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) {
    if (value > static_cast<number_unsigned_t>(INT64_MAX))
      return number_float(static_cast<double>(value), "");
    return number_integer(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t &) {
    Json *json = add();
    json->kind_ = Json::Kind::Float;
    json->float_ = value;
    return true;
  }
  bool string(string_t &value) {
    Json *json = add();
    json->kind_ = Json::Kind::String;
    json->string_ = std::move(value);
    return true;
  }
  bool binary(binary_t &) { return false; }
  bool start_object(size_t) { return open(Json::Kind::Object); }
  bool start_array(size_t) { return open(Json::Kind::Array); }
  bool end_object() {
    std::vector<std::string_view> keys;
    for (const Json &member : current()->children_)
      keys.push_back(member.key_);
    std::sort(keys.begin(), keys.end());
    if (auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end()) {
      error = "the key '" + std::string(*twice) + "' stands twice in one object";
      return false;
    }
    return close();
  }
  bool end_array() { return close(); }
  bool key(string_t &value) {
    key_ = std::move(value);
    return true;
  }
  bool parse_error(size_t position, const std::string &token, const nlohmann::detail::exception &) {
    size_t shown = utf8Prefix(std::string_view(token).substr(0, 40)); // a terminal is given text alone
    error = format("byte %zu: not valid JSON near '%.*s'", position, static_cast<int>(shown), token.c_str());
    return false;
  }

private:
  Json *current() { return path_.back(); }
  Json *add() {
    if (path_.empty())
      return &root_;
    Json *parent = current();
    parent->children_.emplace_back();
    Json *child = &parent->children_.back();
    child->key_ = parent->kind_ == Json::Kind::Object ? std::move(key_) : parent->key_;
    return child;
  }
  bool open(Json::Kind kind) {
    if (static_cast<int>(path_.size()) >= maxDepth_) {
      error = format("nested more than %d levels deep", maxDepth_);
      return false;
    }
    Json *json = add();
    json->kind_ = kind;
    // Pointers into a parent's children stay valid while one of them is open: the parent grows only after.
    path_.push_back(json);
    return true;
  }
  bool close() {
    path_.pop_back();
    return true;
  }

  Json &root_;
  int maxDepth_;
  std::vector<Json *> path_;
  std::string key_;
};

Json Json::parse(std::string_view text, const std::string &what, int maxDepth) {
  Json root;
  JsonBuilder builder(root, maxDepth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    throw Error(what + ": " + (builder.error.empty() ? "not valid JSON" : builder.error));
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
