// Math that languages lack, or have too loosely.
//
// Written once, in what C, OpenCL C and GLSL share. Spelt differently in each: "$fn" before a function, "$uint",
// "$int",
// "$float(x)" and "$int(x)" for casts, "$bits(x)" and "$real(x)" between a float and its pattern, "$fma", "$rint",
// "$mulhi". A function that the language itself has well enough has a one-line form for it in the language's file.
#include "Functions.h"
#include "FunctionTable.h"
#include <algorithm>
#include <cstdio>
#include <string_view>

namespace kiln::sdk {

static std::string spell(const Language &language, std::string text) {
  const std::pair<std::string_view, std::string> words[] = {// longer ones first
                                                            {"$uint(", language.castTo(language.uint32)},
                                                            {"$uint", language.uint32},
                                                            {"$unroll ", language.unroll},
                                                            {"$rint(", std::string(language.rint) + "("},
                                                            {"$real(", std::string(language.floatOf) + "("},
                                                            {"$mulhi(", std::string(language.mulHigh) + "("},
                                                            {"$int(", language.castTo(language.int32)},
                                                            {"$int", language.int32},
                                                            {"$float(", language.castTo(language.float32)},
                                                            {"$fn", language.function},
                                                            {"$fma(", std::string(language.fma) + "("},
                                                            {"$bits(", std::string(language.bitsOf) + "("},
                                                            {"$abs(", std::string(language.abs) + "("}};
  for (const auto &[word, form] : words)
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + form.size()))
      text.replace(at, word.size(), form);
  if (text.starts_with(" "))
    text.erase(0, 1);
  return text;
}

const char *Language::find(const std::string &name) const {
  auto found = std::find_if(functions.begin(), functions.end(), [&](const Function &f) { return name == f.name; });
  return found == functions.end() ? nullptr : found->text;
}

/// "exp(x)" as a function of ours, "$fn float kiln_exp_f32(float x) { return expf(x); }" in C.
static std::string libraryForm(const Function &function, const Language &language) {
  std::string_view name = function.name, call = function.library;
  bool isFloat = name.ends_with("_f32");
  std::string type = isFloat ? language.float32 : language.float64, arguments(call.substr(call.find('(')));
  std::string parameters = "(" + type + " x" + (arguments == "(x)" ? ")" : ", " + type + " y)");
  return "$fn " + type + " kiln_" + std::string(name) + parameters + " { return " +
         std::string(call.substr(0, call.find('('))) + (isFloat ? language.librarySuffix : "") + arguments + "; }";
}

/// Empty where the language has none. own: the general form where there is one.
static std::string textOf(const Function &function, const Language &language, bool own) {
  if (own && function.text)
    return function.text;
  if (const char *special = language.find(function.name))
    return special;
  if (function.library && language.librarySuffix)
    return libraryForm(function, language);
  return function.text ? function.text : "";
}

const Function *findFunction(const std::string &name) {
  auto table = functionTable();
  auto found = std::find_if(table.begin(), table.end(), [&](const Function &f) { return name == f.name; });
  return found == table.end() ? nullptr : &*found;
}

bool hasFunction(const Language &language, bool own, const std::string &name) {
  const Function *function = findFunction(name);
  return function && !textOf(*function, language, own).empty();
}

static constexpr std::string_view tableMark = "table:";

Table::Table(const std::string &bytes) : entry(tableMark) {
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
  char word[20];
  for (size_t at = 0; at < bytes.size(); at += 4) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4 && at + i < bytes.size(); ++i)
      value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
    hash = (hash ^ value) * 0x100000001b3u;
    std::snprintf(word, sizeof(word), "%s0x%xu", at ? "," : "", static_cast<unsigned>(value));
    entry += word;
  }
  std::snprintf(word, sizeof(word), "%016llx", static_cast<unsigned long long>(hash));
  name = "kiln_table_" + std::string(word);
  entry.insert(tableMark.size(), name + ":");
}

std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ",") + word;
  return text;
}

static std::string printTable(const Language &language, const std::string &entry) {
  size_t end = entry.find(':', tableMark.size());
  std::vector<std::string> words;
  for (size_t at = end + 1; at < entry.size();) {
    size_t comma = std::min(entry.find(',', at), entry.size());
    words.push_back(entry.substr(at, comma - at));
    at = comma + 1;
  }
  return language.table(entry.substr(tableMark.size(), end - tableMark.size()), words);
}

std::string printFunctions(const Language &language, bool own, const std::set<std::string> &used) {
  std::set<std::string> needed = used;
  auto table = functionTable();
  // What a function calls stands before it in the table.
  for (size_t i = table.size(); i-- > 0;)
    if (needed.contains(table[i].name))
      if (std::string form = textOf(table[i], language, own); !form.empty()) {
        std::string text = spell(language, form);
        for (size_t j = 0; j < i; ++j)
          if (text.find("kiln_" + std::string(table[j].name) + "(") != std::string::npos)
            needed.insert(table[j].name);
      }
  std::string result;
  for (const std::string &name : used)
    if (name.starts_with(tableMark))
      result += printTable(language, name);
  for (const Function &function : table)
    if (needed.contains(function.name))
      if (std::string form = textOf(function, language, own); !form.empty())
        result += spell(language, form) + "\n";
  return result;
}

} // namespace kiln::sdk
