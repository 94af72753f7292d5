// Which backends there are, and where a name leads.
#pragma once

#include "backends/host/Backend.h"

namespace kiln::host {

/// Finds plugins: in the folders of the environment's KILN_BACKEND_PATH (separated by ':'), then in the install's own.
/// Nothing else is ever loaded, and nothing before it is asked for.
class Registry {
public:
  /// `installed`: the folder of the backends that come with Kiln.
  explicit Registry(std::string installed);

  /// By a name ("cpu": libkiln_backend_cpu.so in one of the folders) or a path (anything with a '/' or ending in
  /// ".so"). Null with a sentence: no such name (with those that there are), what is wrong with the file, another
  /// plugin of that name from another file.
  std::shared_ptr<Backend> find(const std::string &nameOrPath, std::string &error);

  /// The file that `find` would load; empty with a sentence where the name leads nowhere.
  std::string locate(const std::string &nameOrPath, std::string &error) const;
  /// Whether a plugin's file is none of the install's own.
  bool foreign(const std::string &path) const;
  /// All plugins that the folders hold, in the order of the search.
  std::vector<std::string> all() const;
  /// The sentence for two files whose plugins have one name.
  static std::string twoOfAName(const std::string &name, const std::string &path, const std::string &other);
  /// What KILN_BACKEND_PATH names and is no folder.
  std::vector<std::string> missing() const;

private:
  std::vector<std::string> folders_;
  std::vector<std::shared_ptr<Backend>> loaded_;
};

} // namespace kiln::host
