// See Functions.cpp.
#pragma once

#include <span>
#include <string>

namespace kiln::sdk {

struct Function {
  const char *name;           // without "kiln_"
  const char *text = nullptr; // the general form; null where each language that has it has its own
  // A call of C's mathematical library ("exp(x)") for the languages that have that.
  const char *library = nullptr;
  int passes = 0; // of its loops, and those of what it calls, in all at most, but those that are written out
};

/// Null where there is none of that name.
const Function *findFunction(const std::string &name);

/// All functions, also those that only some language has; what a function calls comes before it.
std::span<const Function> functionTable();

} // namespace kiln::sdk
