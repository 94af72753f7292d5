// kiln_text.h: the interface's strings and its error in C++'s words. Inline throughout: nothing of it crosses the
// interface, which is kiln_backend.h alone.
#pragma once

#include "kiln_backend.h"
#include <string>
#include <string_view>

namespace kiln {

/// What is named has to stay.
constexpr kiln_string text(std::string_view text) { return {text.data(), text.size()}; }
constexpr std::string_view view(const kiln_string &text) {
  return text.data ? std::string_view{text.data, text.size} : std::string_view{};
}

inline std::string toString(const kiln_string &text) { return std::string(view(text)); }

/// Fills the error, with as much of the message as it takes; gives the code.
inline int32_t fail(kiln_error *error, int32_t code, std::string_view message, uint32_t kernel = KILN_NONE,
                    uint32_t op = KILN_NONE) {
  error->code = code;
  error->kernel = kernel;
  error->op = op;
  error->message[message.copy(error->message, sizeof error->message - 1)] = 0;
  return code;
}

} // namespace kiln
