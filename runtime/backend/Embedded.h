// The backends that a program was built with.
#pragma once

#include "runtime/backend/Negotiate.h"
#include "runtime/program/Image.h"

namespace kiln {

/// The executable or library that this code is in.
std::string ownFile();

/// The tables of one of them: linked in, or from the plugin that lies beside the program: one that reads the artifacts
/// of the one that it was built with, or, where that did not say which it reads, the same to the byte. False with a
/// sentence.
bool openEmbedded(const kiln_image_backend &backend, const kiln_host *host, BackendTables &tables, std::string &error);

} // namespace kiln
