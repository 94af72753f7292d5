#include "runtime/backend/Embedded.h"

#include "runtime/backend/Inside.h"
#include "runtime/backend/Sha256.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cstring>
#include <dlfcn.h>
#include <unistd.h>

namespace kiln {

std::string ownFile() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<const void *>(&openEmbedded), &info) && info.dli_fname &&
      std::strchr(info.dli_fname, '/') && std::strstr(info.dli_fname, ".so"))
    return info.dli_fname;
  return "/proc/self/exe";
}

/// The folder that it lies in.
static std::string ownFolder() {
  std::string file = ownFile();
  char path[4096];
  ssize_t length = readlink(file.c_str(), path, sizeof path - 1);
  return folderOf(length > 0 ? std::string(path, static_cast<size_t>(length)) : file);
}

static kiln_backend_fn loadPlugin(const kiln_image_backend &backend, std::string &error) {
  std::string path = ownFolder() + "/" + backend.plugin;
  if (!fileExists(path)) {
    error =
        "its plugin " + path + " is missing; it belongs beside the program: copy it there, or build the program again";
    return nullptr;
  }
  try {
    MappedFile file(path);
    std::array<uint8_t, 32> digest = sha256(file.data(), file.size());
    if (backend.plugin_sha256 && std::memcmp(digest.data(), backend.plugin_sha256, digest.size()) != 0) {
      error = "its plugin " + path +
              " is not the one that the program was built with, and that one stated no artifact_version which others "
              "might read: put that file back, or build the program again";
      return nullptr;
    }
  } catch (const Error &unreadable) {
    error = unreadable.what();
    return nullptr;
  }
  Inside inside(backend.name, false, "loading");
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  auto function = library ? reinterpret_cast<kiln_backend_fn>(dlsym(library, KILN_BACKEND_SYMBOL)) : nullptr;
  if (!function)
    error = "its plugin " + path + " cannot be loaded: " + (library ? "no symbol " KILN_BACKEND_SYMBOL : dlerror());
  return function;
}

/// What is wrong with a plugin that states what artifacts it reads; empty where it reads the program's.
static std::string unreadable(const kiln_image_backend &backend, const BackendTables &tables) {
  const kiln_backend &found = tables.backend;
  std::string path = "its plugin " + ownFolder() + "/" + backend.plugin;
  if (tables.name() != backend.name)
    return path + " is the backend " + tables.name() + ": put the one of " + backend.name + " there";
  if (!backend.artifact_version)
    return "";
  std::string needs = ", and the program needs one that reads version " + std::to_string(backend.artifact_version);
  if (!found.artifact_version)
    return path + " (" + readable(found.title) + ") does not say which artifacts it reads" + needs +
           ": put such a one there, or build the program again with this one";
  uint32_t oldest = found.artifact_oldest ? found.artifact_oldest : found.artifact_version;
  if (backend.artifact_version >= oldest && backend.artifact_version <= found.artifact_version)
    return "";
  bool older = backend.artifact_version > found.artifact_version;
  return path + " (" + readable(found.title) + ") reads artifacts of version " +
         (oldest == found.artifact_version ? "" : std::to_string(oldest) + " to ") +
         std::to_string(found.artifact_version) + needs + ": put " + (older ? "a newer" : "an older") +
         " one there, or build the program again with this one";
}

bool openEmbedded(const kiln_image_backend &backend, const kiln_host *host, BackendTables &tables, std::string &error) {
  kiln_backend_fn function = backend.function;
  if (!function && !backend.plugin) {
    error = "the program holds no code of it";
    return false;
  }
  if (!function)
    function = loadPlugin(backend, error);
  Inside inside(backend.name, false, KILN_BACKEND_SYMBOL);
  if (!function || !negotiate(function, host, tables, error))
    return false;
  if (!tables.backend.run)
    error = "it has no run side";
  else if (backend.plugin)
    error = unreadable(backend, tables);
  return error.empty();
}

} // namespace kiln
