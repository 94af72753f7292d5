//===- Functions.h - the functions that printed text calls ------------------------------------------------------===//
#ifndef KILN_SDK_FUNCTIONS_H
#define KILN_SDK_FUNCTIONS_H

#include "Emitter.h"

namespace kiln::sdk {

/// The definitions of those functions (names without their prefix "kiln_") and of what they call. own: exp, erf and the
/// like by our own polynomials, though the language has them.
std::string printFunctions(Language language, bool own, const std::set<std::string> &used);
/// Whether the language has the function.
bool hasFunction(Language language, bool own, const std::string &name);

} // namespace kiln::sdk

#endif // KILN_SDK_FUNCTIONS_H
