// What a kernel is, as bytes: equal ones are compiled to the same code.
#pragma once

#include "backends/api/kiln_backend.h"
#include <string>

namespace kiln::sdk {

/// All that a reader says about a kernel, but its name, its place in a program, and where its ops stand in the text.
std::string keyOf(const kiln_reader &reader, const kiln_kernel *kernel);

} // namespace kiln::sdk
