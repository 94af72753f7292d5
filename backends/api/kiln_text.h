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

/// What was set of an option, from a kiln_target or a kiln_host (an older host's may be shorter); empty: nothing.
template <typename Holder> std::string_view settingOf(const Holder &holder, std::string_view name) {
  if (holder.size < offsetof(Holder, setting_count) + sizeof holder.setting_count)
    return {};
  for (size_t i = 0; i < holder.setting_count; ++i)
    if (view(holder.settings[i].name) == name)
      return view(holder.settings[i].value);
  return {};
}

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
