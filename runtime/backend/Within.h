// A call into a backend from code that may throw: recorded, and what the backend throws is an error with its name.
#pragma once

#include "backends/api/kiln_text.h"
#include "runtime/backend/Inside.h"
#include "runtime/backend/Negotiate.h"

namespace kiln {

inline std::string_view nameOf(const BackendTables &tables) { return view(tables.backend.name); }

/// To be called in a catch (...): throws an Error that says what the backend threw; std::bad_alloc stays what it is.
[[noreturn]] void failThrown(std::string_view backend, const char *function, std::string_view entry);
/// The same on stderr, where nothing may be thrown.
void tellThrown(std::string_view backend, const char *function) noexcept;

/// Makes a call into a backend. The interface forbids it to throw; where it does, that is an Error with its name.
template <typename Call>
int32_t within(const BackendTables &tables, const char *function, Call call, std::string_view entry = {},
               std::string_view kernel = {}) {
  Inside inside(nameOf(tables), tables.foreign, function, entry, kernel);
  try {
    return call();
  } catch (...) {
    failThrown(nameOf(tables), function, entry);
  }
}

/// One that gives something back: it has no way to fail.
template <typename Call> void givingBack(const BackendTables &tables, const char *function, Call call) noexcept {
  Inside inside(nameOf(tables), tables.foreign, function);
  try {
    call();
  } catch (...) {
    tellThrown(nameOf(tables), function);
  }
}

} // namespace kiln
