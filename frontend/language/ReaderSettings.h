// What a data reader is told, each setting checked at its place.
#pragma once

#include "frontend/language/Recipe.h"

#include <algorithm>

namespace kiln::language {

/// Checked access to a reader's settings.
struct ReaderSettings {
  Elaborator &e;
  const Record &record;
  bool ok = true;

  const Value &operator[](std::string_view name) const {
    for (const auto &[key, value] : record.fields)
      if (key == name)
        return value;
    static const Value none = Value::none();
    return none;
  }
  Range range(std::string_view name) const {
    for (size_t i = 0; i < record.fields.size(); ++i)
      if (record.fields[i].first == name)
        return record.ranges[i];
    return record.range;
  }
  void wrong(std::string_view name, const std::string &wanted) {
    ok = false;
    e.error(range(name), record.kind + (record.kind.ends_with("s") ? "' '" : "'s '") + std::string(name) + "' is " +
                             describe((*this)[name]) + "; " + wanted + " is expected");
  }
  int64_t count(std::string_view name, int64_t least = 1, int64_t most = 1 << 30) {
    std::optional<int64_t> value = (*this)[name].isNumeral() ? (*this)[name].asInteger() : std::nullopt;
    if (value && *value >= least && *value <= most)
      return *value;
    wrong(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  void boolean(std::string_view name) {
    if ((*this)[name].kind != Value::Kind::Boolean)
      wrong(name, "True or False");
  }
  void number(std::string_view name) {
    if (!(*this)[name].isNumeral() || !(*this)[name].asDouble())
      wrong(name, "a number");
  }
  void string(std::string_view name) {
    if ((*this)[name].kind != Value::Kind::String)
      wrong(name, "a string");
  }
  void separator() {
    const Value &value = (*this)["separator"];
    if (value.kind != Value::Kind::String || value.text.size() != 1)
      wrong("separator", "one character");
  }
  /// "characters", "words", or the path of a tokenizer.json; and how many.
  void tokens() {
    const Value &value = (*this)["tokens"];
    if (value.kind != Value::Kind::String ||
        (value.text != "characters" && value.text != "words" && !value.text.ends_with(".json")))
      wrong("tokens", "\"characters\", \"words\", or a tokenizer's path, which ends in .json,");
    if (!(*this)["vocabulary"].isNone())
      count("vocabulary");
  }
  /// How many classes there are, or their names.
  void classes() {
    const Value &value = (*this)["classes"];
    auto isName = [](const Value &item) { return isColumn(item); };
    if (value.isNone())
      return;
    if (value.isNumeral())
      count("classes");
    else if (!value.isList() || value.items->empty() || !std::all_of(value.items->begin(), value.items->end(), isName))
      wrong("classes", "a number of classes, or a list of their names");
  }
  /// What stands for a number that there is not: another, or a word for how it is found.
  void missing(std::initializer_list<const char *> words) {
    const Value &value = (*this)["missing"];
    if (value.isNone() || (value.isNumeral() && value.asDouble()))
      return;
    std::string list;
    for (const char *word : words) {
      if (value.kind == Value::Kind::String && value.text == word)
        return;
      list += " or \"" + std::string(word) + "\"";
    }
    wrong("missing", "a number" + list);
  }
  /// A number, or (height, width).
  void size(int64_t &height, int64_t &width, std::string_view name = "size") {
    const Value &size = (*this)[name];
    bool pair = size.isList() && size.items->size() == 2;
    const Value &one = pair ? (*size.items)[0] : size, &other = pair ? (*size.items)[1] : size;
    std::optional<int64_t> first = one.isNumeral() ? one.asInteger() : std::nullopt;
    std::optional<int64_t> second = other.isNumeral() ? other.asInteger() : std::nullopt;
    if (!first || !second || std::min(*first, *second) < 1 || std::max(*first, *second) > 1 << 16)
      return wrong(name, "a number from 1 to 65536, or (height, width),");
    height = *first;
    width = *second;
  }
  /// A number, or one for each channel; `std` is not 0.
  void ofChannels(std::string_view name, int64_t channels) {
    const Value &value = (*this)[name];
    bool list = value.isList() && channels > 1;
    std::vector<Value> numbers = list ? *value.items : std::vector<Value>{value};
    auto fits = [&](const Value &one) {
      return one.isNumeral() && one.asDouble() && (name != "std" || *one.asDouble() != 0);
    };
    if ((list && numbers.size() != static_cast<size_t>(channels)) || !std::all_of(numbers.begin(), numbers.end(), fits))
      wrong(name, std::string(name == "std" ? "a number other than 0" : "a number") +
                      (channels > 1 ? ", or one for each of " + std::to_string(channels) + " channels," : ""));
  }
  /// One of a few words.
  void oneOf(std::string_view name, std::initializer_list<const char *> words) {
    const Value &value = (*this)[name];
    std::string list;
    for (const char *word : words) {
      if (value.kind == Value::Kind::String && value.text == word)
        return;
      list += (list.empty() ? "\"" : " or \"") + std::string(word) + "\"";
    }
    wrong(name, list);
  }
  static bool isColumn(const Value &value) {
    return value.kind == Value::Kind::String || (value.kind == Value::Kind::Integer && value.asInteger());
  }
  /// Columns of words, each by itself or with how many numbers it may take: ("Sex", 3). How many they are.
  int64_t categories() {
    const Value &value = (*this)["categories"];
    if (value.isNone())
      return 0;
    auto counted = [](const Value &item) {
      return item.isList() && !item.names && item.items->size() == 2 && isColumn((*item.items)[0]) &&
             (*item.items)[1].isNumeral() && (*item.items)[1].asInteger().value_or(0) > 0 &&
             *(*item.items)[1].asInteger() <= INT32_MAX;
    };
    bool list = value.isList() && !value.items->empty() &&
                std::all_of(value.items->begin(), value.items->end(),
                            [&](const Value &item) { return isColumn(item) || counted(item); });
    if (!list)
      wrong("categories", "a list of columns' numbers or names, each perhaps with how many numbers it takes, as in "
                          "[\"Sex\", (\"Port\", 4)],");
    return list ? static_cast<int64_t>(value.items->size()) : 1;
  }
  /// A number of columns, one column's name, or a list of columns by index or name: how many they are.
  int64_t columns(std::string_view name) {
    const Value &value = (*this)[name];
    if (value.kind == Value::Kind::String)
      return 1;
    if (!value.isList() || value.items->empty())
      return count(name);
    if (!std::all_of(value.items->begin(), value.items->end(), isColumn))
      wrong(name, "a list of columns' numbers or names");
    return static_cast<int64_t>(value.items->size());
  }
};

} // namespace kiln::language
