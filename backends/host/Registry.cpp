// Names and files of plugins, found and listed.

#include "backends/host/Registry.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace kiln::host {

namespace fs = std::filesystem;

static constexpr const char prefix[] = "libkiln_backend_", suffix[] = ".so";

Registry::Registry(std::string installed) {
  if (const char *path = std::getenv("KILN_BACKEND_PATH")) {
    std::string rest = path;
    while (!rest.empty()) {
      size_t colon = rest.find(':');
      std::string folder = rest.substr(0, colon);
      if (!folder.empty())
        folders_.push_back(std::move(folder));
      rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
    }
  }
  folders_.push_back(std::move(installed));
}

/// The plugins of a folder, sorted by name.
static std::vector<std::string> pluginsIn(const std::string &folder) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    std::string name = it->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix))
      paths.push_back(it->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

static std::string nameOf(const std::string &path) {
  std::string file = fs::path(path).filename().string();
  return file.substr(sizeof prefix - 1, file.size() - (sizeof prefix - 1) - (sizeof suffix - 1));
}

static bool sameFile(const std::string &a, const std::string &b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

std::string Registry::locate(const std::string &nameOrPath, std::string &error) const {
  if (nameOrPath.find('/') != std::string::npos || nameOrPath.ends_with(suffix))
    return nameOrPath;
  std::string known;
  for (const std::string &plugin : all()) {
    if (nameOf(plugin) == nameOrPath)
      return plugin;
    known += (known.empty() ? "" : ", ") + nameOf(plugin);
  }
  error = "there is no backend '" + nameOrPath + "'; there is: " + (known.empty() ? "none" : known) +
          ". A path to a plugin (.so) works too, and KILN_BACKEND_PATH adds folders to look in";
  for (const std::string &folder : missing())
    error += "; it names " + folder + ", which is no folder";
  return "";
}

bool Registry::foreign(const std::string &path) const {
  return !sameFile(fs::path(path).parent_path().string(), folders_.back());
}

std::shared_ptr<Backend> Registry::find(const std::string &nameOrPath, std::string &error) {
  std::string path = locate(nameOrPath, error);
  if (path.empty())
    return nullptr;
  for (const std::shared_ptr<Backend> &backend : loaded_)
    if (sameFile(backend->origin(), path))
      return backend;
  std::shared_ptr<Backend> backend = Backend::load(path, error, foreign(path));
  if (!backend)
    return nullptr;
  for (const std::shared_ptr<Backend> &other : loaded_)
    if (other->name() == backend->name()) {
      error = twoOfAName(backend->name(), other->origin(), backend->origin());
      return nullptr;
    }
  loaded_.push_back(backend);
  return backend;
}

std::string Registry::twoOfAName(const std::string &name, const std::string &path, const std::string &other) {
  return "two backends are called '" + name + "': " + path + " and " + other + "; give one of them another name";
}

std::vector<std::string> Registry::missing() const {
  std::vector<std::string> missing;
  std::error_code ignored;
  for (size_t i = 0; i + 1 < folders_.size(); ++i) // the last is the install's own
    if (!fs::is_directory(folders_[i], ignored))
      missing.push_back(folders_[i]);
  return missing;
}

std::vector<std::string> Registry::all() const {
  std::vector<std::string> all;
  for (const std::string &folder : folders_)
    for (std::string &path : pluginsIn(folder))
      all.push_back(std::move(path));
  return all;
}

} // namespace kiln::host
