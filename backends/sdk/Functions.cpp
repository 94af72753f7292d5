//===- Functions.cpp - math that languages lack, or have too loosely ----------------------------------------------===//
//
// Written once, in what C, OpenCL C and GLSL share. Spelt differently in each: "$fn" before a function, "$uint",
// "$int",
// "$float(x)" and "$int(x)" for casts, "$bits(x)" and "$real(x)" between a float and its pattern, "$fma", "$rint",
// "$mulhi". A function that the language itself has well enough has a one-line form for it.
//
//===------------------------------------------------------------------------------------------------------------===//
#include "Functions.h"
#include "FunctionTable.h"
#include <algorithm>
#include <map>

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
    std::string form = forms[size_t(language)];
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

std::string printFunctions(Language language, bool own, const std::set<std::string> &used) {
  std::set<std::string> needed = used;
  auto table = functionTable();
  // What a function calls stands before it in the table.
  for (size_t i = table.size(); i-- > 0;)
    if (needed.count(table[i].name))
      if (const char *form = formOf(table[i], language, own)) {
        std::string text = spell(language, form);
        for (size_t j = 0; j < i; ++j)
          if (text.find("kiln_" + std::string(table[j].name) + "(") != std::string::npos)
            needed.insert(table[j].name);
      }
  std::string result;
  for (const Function &function : table)
    if (needed.count(function.name))
      if (const char *form = formOf(function, language, own))
        result += spell(language, form) + "\n";
  return result;
}

} // namespace kiln::sdk
