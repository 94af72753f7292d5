//===- Functions.h - the functions that printed text calls ------------------------------------------------------===//
#ifndef KILN_SDK_FUNCTIONS_H
#define KILN_SDK_FUNCTIONS_H

#include "Emitter.h"

namespace kiln::sdk {

/// Whether the language has the function.
bool hasFunction(Language language, bool own, const std::string &name);

} // namespace kiln::sdk

#endif // KILN_SDK_FUNCTIONS_H
