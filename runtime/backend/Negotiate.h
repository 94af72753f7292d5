// The first words with a backend: versions, and tables of a size that this side knows.
#pragma once

#include "backends/api/kiln_backend.h"

#include <string>

namespace kiln {

/// A backend's tables as this side knows them: what the plugin's are too short for is null, so that a field needs only
/// be tested. Strings are the plugin's.
struct BackendTables {
  kiln_backend backend = {};
  kiln_compile_api compile = {}; ///< all null where there is no compile side
  kiln_run_api run = {};         ///< all null where there is no run side

  std::string name() const { return {backend.name.data, backend.name.size}; }
  std::string title() const { return {backend.title.data, backend.title.size}; }
};

/// Asks the plugin for its tables and checks them: a version in common, a name, every function that is not optional.
/// False with a sentence. `host` lives as long as the process.
bool negotiate(kiln_backend_fn function, const kiln_host *host, BackendTables &tables, std::string &error);

/// A host without threads, for what needs none: it reads tables and writes logs to stderr. Lives as long as the
/// process.
const kiln_host *plainHost();

/// An error to be filled by a backend.
inline kiln_error emptyError() {
  kiln_error error;
  error.size = sizeof error;
  error.code = KILN_SUCCESS;
  error.kernel = error.op = KILN_NONE;
  error.message[0] = 0;
  return error;
}

/// The message, or, where the backend left none, its code in words.
std::string messageOf(const kiln_error &error);

} // namespace kiln
