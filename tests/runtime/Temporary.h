// A folder that goes when its test does, and what an error says.
#pragma once

#include "runtime/support/Error.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace kiln::testing {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiln-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string &path() const { return path_; }
  std::string write(const std::string &name, const std::string &text) const {
    std::string path = path_ + "/" + name;
    std::FILE *file = std::fopen(path.c_str(), "wb");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    return path;
  }
  size_t files() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator(path_))
      ++count;
    return count;
  }
  std::string onlyFileIn(const std::string &folder) const {
    return std::filesystem::directory_iterator(path_ + "/" + folder)->path().string();
  }

private:
  std::string path_;
};

/// The sentence that the function fails with; empty where it does not fail.
template <typename Function> std::string errorOf(Function &&function) {
  try {
    function();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

} // namespace kiln::testing
