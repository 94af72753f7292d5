// See Functions.cpp.
#pragma once

#include <span>

namespace kiln::sdk {

struct Function {
  const char *name;                                        // without "kiln_"
  const char *text;                                        // the general form; null where there is none
  const char *c = nullptr, *cl = nullptr, *glsl = nullptr; // in place of it
};

/// What a function calls comes before it.
std::span<const Function> functionTable();

} // namespace kiln::sdk
