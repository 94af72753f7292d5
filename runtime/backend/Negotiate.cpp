// Tables taken at the size that both sides know, and what is missing named.

#include "runtime/backend/Negotiate.h"

#include "runtime/backend/Settings.h"
#include "runtime/backend/Tables.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>

#ifndef KILN_VERSION
#define KILN_VERSION ""
#endif

namespace kiln {

namespace {

void parallelFor(void *, int64_t count, kiln_task task, void *context) { task(context, 0, count, 0); }

void log(void *, int32_t, kiln_string message) { std::fprintf(stderr, "%s\n", readable(message).c_str()); }

/// As much of a sized struct as both sides know; the rest is zero.
template <typename Table> void take(const Table *from, Table &to) {
  to = {};
  if (!from)
    return;
  std::memcpy(static_cast<void *>(&to), from, std::min<size_t>(from->size, sizeof(Table)));
  to.size = sizeof(Table);
}

bool isIdentifier(kiln_string name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!name.data || name.size == 0 || name.size > 64 || !letter(name.data[0]))
    return false;
  return std::all_of(name.data, name.data + name.size, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// The first function that is missing, or null.
const char *missing(const BackendTables &tables) {
  const kiln_compile_api &c = tables.compile;
  const kiln_run_api &r = tables.run;
  if (tables.backend.compile) {
    if (!c.capabilities)
      return "capabilities";
    if (!c.claim)
      return "claim";
    if (!c.compile)
      return "compile";
  }
  if (tables.backend.run) {
    const std::pair<bool, const char *> needed[] = {{r.device_count, "device_count"},
                                                    {r.device_info, "device_info"},
                                                    {r.open, "open"},
                                                    {r.close, "close"},
                                                    {r.allocate, "allocate"},
                                                    {r.release, "release"},
                                                    {r.write, "write"},
                                                    {r.read, "read"},
                                                    {r.copy, "copy"},
                                                    {r.load, "load"},
                                                    {r.unload, "unload"},
                                                    {r.execute, "execute"},
                                                    {r.wait, "wait"}};
    for (const auto &[there, name] : needed)
      if (!there)
        return name;
  }
  return nullptr;
}

} // namespace

const kiln_host *plainHost() {
  static const kiln_host host = {sizeof(kiln_host), 1,       nullptr, tableReader(), parallelFor, log,
                                 {nullptr, 0},      nullptr, 0};
  return &host;
}

std::string messageOf(const kiln_error &error, int32_t code) {
  size_t length = strnlen(error.message, sizeof error.message);
  if (length)
    return readable(std::string_view(error.message, length));
  static constexpr const char *codes[] = {"no error",          "an invalid argument", "not supported",
                                          "out of memory",     "the device is lost",  "an internal error",
                                          "no common version", "it was cancelled"};
  bool known = code >= 0 && code < static_cast<int32_t>(std::size(codes));
  return (known ? codes[code] : "the code " + std::to_string(code) + ", which the interface does not have") +
         " (the backend says no more)";
}

std::string unknownFlags(uint32_t flags, uint32_t known) {
  if (!(flags & ~known))
    return "";
  char digits[16];
  std::snprintf(digits, sizeof digits, "0x%x", flags & ~known);
  return std::string(" sets the flags ") + digits + ", which version " + std::to_string(KILN_ABI_VERSION) +
         " of the interface does not have: tell its author";
}

std::string noString(const kiln_string &string) {
  constexpr size_t most = 65536;
  if (string.size > most)
    return "of " + std::to_string(string.size) + " bytes";
  return string.data || !string.size ? "" : "of " + std::to_string(string.size) + " bytes at no address";
}

std::string readable(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    bool control = length == 1 && static_cast<unsigned char>(text[at]) < 0x20 && text[at] != '\n' && text[at] != '\t';
    if (length == 0 || control)
      result += "\xef\xbf\xbd";
    else
      result += text.substr(at, length);
    at += length ? length : 1;
  }
  return result;
}

/// A sized table that a plugin gives: why its size cannot be one.
template <typename Table> static std::string noSize(const Table *table, size_t least, const char *name) {
  constexpr uint32_t most = 65536;
  if (!table || (table->size >= least && table->size <= most))
    return "";
  return "its " + std::string(name) + " states a size of " + std::to_string(table->size) +
         " bytes: `size` is to be sizeof(" + name + ") of the header that it is built with";
}

bool negotiate(kiln_backend_fn function, const kiln_host *host, BackendTables &tables, std::string &error) {
  static constexpr char hostName[] = "kiln " KILN_VERSION;
  kiln_offer offer = {sizeof(kiln_offer), KILN_ABI_OLDEST, KILN_ABI_VERSION, host, {hostName, sizeof hostName - 1}};
  kiln_error failure = emptyError();
  const kiln_backend *backend = nullptr;
  try {
    backend = function(&offer, &failure);
  } catch (...) { // the interface forbids it; a plugin may do it all the same
    error =
        "it threw an exception when it was asked for its tables, which the backend interface forbids: tell its author";
    return false;
  }
  if (!backend) {
    error = "it refuses: " + messageOf(failure);
    return false;
  }
  if (error = noSize(backend, offsetof(kiln_backend, name), "kiln_backend"); !error.empty())
    return false;
  take(backend, tables.backend);
  if (tables.backend.version < KILN_ABI_OLDEST || tables.backend.version > KILN_ABI_VERSION) {
    error = "it speaks version " + std::to_string(tables.backend.version) +
            " of the backend interface; this kiln speaks " + std::to_string(KILN_ABI_OLDEST) + " to " +
            std::to_string(KILN_ABI_VERSION) + ": build the plugin against this kiln's kiln_backend.h";
    return false;
  }
  if (!isIdentifier(tables.backend.name)) {
    error = "its name is not an identifier of at most 64 letters, digits and underscores: tell its author";
    return false;
  }
  if (std::string title = noString(tables.backend.title); !title.empty()) {
    error = "it gives a title " + title + ": tell its author";
    return false;
  }
  if (!tables.backend.compile && !tables.backend.run) {
    error = "it has neither a compile side nor a run side, so there is nothing to use it for: tell its author";
    return false;
  }
  if (error = noSize(tables.backend.compile, sizeof(uint32_t), "kiln_compile_api"); !error.empty())
    return false;
  if (error = noSize(tables.backend.run, sizeof(uint32_t), "kiln_run_api"); !error.empty())
    return false;
  take(tables.backend.compile, tables.compile);
  take(tables.backend.run, tables.run);
  if (const char *name = missing(tables)) {
    error = std::string("it lacks the function '") + name + "', which is not optional: tell its author";
    return false;
  }
  const kiln_backend &said = tables.backend;
  if (said.artifact_oldest > said.artifact_version) {
    error = "it states that it reads artifacts of the versions " + std::to_string(said.artifact_oldest) + " to " +
            std::to_string(said.artifact_version) + ", which are none: tell its author";
    return false;
  }
  error = wrongOptions(tables);
  return error.empty();
}

} // namespace kiln
