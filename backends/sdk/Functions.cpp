// Math that languages lack, or have too loosely.
//
// Written once, in what C, OpenCL C and GLSL share. Spelt differently in each: "$fn" before a function, "$uint",
// "$int",
// "$float(x)" and "$int(x)" for casts, "$bits(x)" and "$real(x)" between a float and its pattern, "$fma", "$rint",
// "$mulhi". A function that the language itself has well enough has a one-line form for it.
#include "Functions.h"
#include "FunctionTable.h"
#include <algorithm>
#include <cstdio>
#include <map>
#include <string_view>

namespace kiln::sdk {

static std::string spell(Language language, std::string text) {
  static const std::map<std::string, std::array<const char *, 3>, std::greater<>> words = {
      {"$fn", {"static inline", "static inline", ""}},
      {"$uint(", {"(uint32_t)(", "(uint)(", "uint("}},
      {"$uint", {"uint32_t", "uint", "uint"}},
      {"$int(", {"(int32_t)(", "(int)(", "int("}},
      {"$int", {"int32_t", "int", "int"}},
      {"$float(", {"(float)(", "(float)(", "float("}},
      {"$bits(", {"kiln_bits_of(", "as_uint(", "floatBitsToUint("}},
      {"$real(", {"kiln_float_of(", "as_float(", "uintBitsToFloat("}},
      {"$fma(", {"fmaf(", "fma(", "fma("}},
      {"$rint(", {"rintf(", "rint(", "roundEven("}},
      {"$abs(", {"fabsf(", "fabs(", "abs("}},
      {"$mulhi(", {"kiln_mul_hi(", "mul_hi(", "kiln_mul_hi("}},
  };
  for (const auto &[word, forms] : words) { // longer ones first
    std::string form = forms[static_cast<size_t>(language)];
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + form.size()))
      text.replace(at, word.size(), form);
  }
  if (text.starts_with(" "))
    text.erase(0, 1);
  return text;
}

static const char *formOf(const Function &function, Language language, bool own) {
  const char *special = language == Language::C        ? function.c
                        : language == Language::OpenCL ? function.cl
                                                       : function.glsl;
  bool general = function.text && *function.text;
  return special && !(own && general) ? special : general ? function.text : special;
}

static const Function *find(const std::string &name) {
  auto table = functionTable();
  auto found = std::find_if(table.begin(), table.end(), [&](const Function &f) { return name == f.name; });
  return found == table.end() ? nullptr : &*found;
}

bool hasFunction(Language language, bool own, const std::string &name) {
  const Function *function = find(name);
  return function && formOf(*function, language, own);
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

static void printChoice(const std::vector<std::string> &words, size_t begin, size_t end, std::string &text) {
  if (end - begin == 1) {
    text += words[begin];
    return;
  }
  size_t middle = (begin + end) / 2;
  text += "(i < " + std::to_string(middle) + " ? ";
  printChoice(words, begin, middle, text);
  text += " : ";
  printChoice(words, middle, end, text);
  text += ")";
}

static std::string printTable(Language language, const std::string &entry) {
  size_t end = entry.find(':', tableMark.size());
  std::string name = entry.substr(tableMark.size(), end - tableMark.size()), words = entry.substr(end + 1);
  std::string size = "[" + std::to_string(std::count(words.begin(), words.end(), ',') + 1) + "]";
  switch (language) {
  case Language::C:
    return "static const uint32_t " + name + size + " = {" + words + "};\n";
  case Language::OpenCL:
    return "__constant uint " + name + size + " = {" + words + "};\n";
  case Language::GLSL:
    break;
  }
  // An array takes drivers on processors minutes (lavapipe: quadratic in its length). So: a tree of choices.
  std::vector<std::string> list;
  for (size_t at = 0; at < words.size();) {
    size_t comma = std::min(words.find(',', at), words.size());
    list.push_back(words.substr(at, comma - at));
    at = comma + 1;
  }
  std::string text = "uint " + name + "(int i) {\n  return ";
  printChoice(list, 0, list.size(), text);
  return text + ";\n}\n";
}

std::string printFunctions(Language language, bool own, const std::set<std::string> &used) {
  std::set<std::string> needed = used;
  auto table = functionTable();
  // What a function calls stands before it in the table.
  for (size_t i = table.size(); i-- > 0;)
    if (needed.contains(table[i].name))
      if (const char *form = formOf(table[i], language, own)) {
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
      if (const char *form = formOf(function, language, own))
        result += spell(language, form) + "\n";
  return result;
}

} // namespace kiln::sdk
