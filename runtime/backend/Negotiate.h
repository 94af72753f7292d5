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
  bool foreign = false;          ///< it did not come with Kiln

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

/// What a backend says of a failure with that code: its message, or, where it left none, the code in words.
std::string messageOf(const kiln_error &error, int32_t code);
inline std::string messageOf(const kiln_error &error) { return messageOf(error, error.code); }

/// Flags of backends and devices that this version of the interface has.
constexpr uint32_t knownBackendFlags = KILN_BACKEND_HOST_MEMORY | KILN_BACKEND_FLUSHES_DENORMALS |
                                       KILN_BACKEND_STRIDED_VIEWS | KILN_BACKEND_DETERMINISTIC | KILN_BACKEND_CANCELS;
/// " sets the flags 0x100, which ..."; empty where all are known.
std::string unknownFlags(uint32_t flags, uint32_t known);

/// Why a plugin's string cannot be one, as the end of a sentence ("of 99999999 bytes"); empty where it can.
std::string noString(const kiln_string &string);
/// A plugin's text for people: what is no UTF-8 and what would move a terminal's cursor is replaced.
std::string readable(std::string_view text);
inline std::string readable(const kiln_string &text) {
  return text.data && noString(text).empty() ? readable(std::string_view(text.data, text.size)) : std::string();
}

} // namespace kiln
