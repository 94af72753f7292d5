// Tables taken at the size that both sides know, and what is missing named.

#include "runtime/backend/Negotiate.h"

#include "runtime/backend/Tables.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#ifndef KILN_VERSION
#define KILN_VERSION ""
#endif

namespace kiln {

namespace {

void parallelFor(void *, int64_t count, kiln_task task, void *context) { task(context, 0, count, 0); }

void log(void *, int32_t, kiln_string message) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size), message.data);
}

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
  static const kiln_host host = {sizeof(kiln_host), 1, nullptr, tableReader(), parallelFor, log, {nullptr, 0}};
  return &host;
}

std::string messageOf(const kiln_error &error) {
  size_t length = strnlen(error.message, sizeof error.message);
  if (length)
    return {error.message, length};
  static constexpr const char *codes[] = {"no error",         "an invalid argument", "not supported",
                                          "out of memory",    "the device is lost",  "an internal error",
                                          "no common version"};
  bool known = error.code >= 0 && error.code < static_cast<int32_t>(std::size(codes));
  return std::string(known ? codes[error.code] : "an unknown error") + " (the backend says no more)";
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
  if (!tables.backend.compile && !tables.backend.run) {
    error = "it has neither a compile side nor a run side, so there is nothing to use it for: tell its author";
    return false;
  }
  take(tables.backend.compile, tables.compile);
  take(tables.backend.run, tables.run);
  if (const char *name = missing(tables)) {
    error = std::string("it lacks the function '") + name + "', which is not optional: tell its author";
    return false;
  }
  return true;
}

} // namespace kiln
