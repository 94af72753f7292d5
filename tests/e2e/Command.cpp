#include "tests/e2e/Command.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln::test {

std::string bytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<nlohmann::json> jsonLines(const std::string &text) {
  std::vector<nlohmann::json> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    all.push_back(nlohmann::json::parse(line));
  return all;
}

Outcome run(const std::vector<std::string> &argv) {
  // Files rather than pipes: nothing to drain, however much a program writes.
  std::array<std::string, 2> paths;
  for (std::string &path : paths) {
    path = (std::filesystem::temp_directory_path() / "kiln-test-XXXXXX").string();
    close(mkstemp(path.data()));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  for (int i = 0; i < 2; ++i)
    posix_spawn_file_actions_addopen(&actions, 1 + i, paths[i].c_str(), O_WRONLY | O_TRUNC, 0600);
  std::vector<char *> arguments;
  for (const std::string &argument : argv)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);

  Outcome outcome;
  pid_t child = 0;
  int error = posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) {
    int status = 0;
    rusage usage = {};
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
      ;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.peak = 1024.0 * static_cast<double>(usage.ru_maxrss); // KiB; this process's own at least
    outcome.out = bytes(paths[0]);
    outcome.err = bytes(paths[1]);
  } else {
    outcome.err = "cannot start " + argv[0];
  }
  for (const std::string &path : paths)
    unlink(path.c_str());
  return outcome;
}

// A built tree that was carried to another machine (tests/gpu) lies elsewhere: KILN_TEST_TREE says where.
std::string sourceFolder() {
  const char *tree = std::getenv("KILN_TEST_TREE");
  return tree ? tree : KILN_SOURCE_FOLDER;
}

static std::string binaryFolder() {
  const char *tree = std::getenv("KILN_TEST_TREE");
  return tree ? std::string(tree) + "/build" : KILN_BINARY_FOLDER;
}

std::string kilnProgram() { return binaryFolder() + "/bin/kiln"; }

namespace {

/// This process's own: the same test runs on several backends at once. Kept for a look where a test failed.
class WorkFolder {
public:
  WorkFolder() : path_(std::filesystem::path(binaryFolder()) / "tests/e2e/work" / std::to_string(getpid())) {
    std::filesystem::remove_all(path_);
  }
  ~WorkFolder() {
    std::error_code ignored;
    if (!testing::UnitTest::GetInstance()->Failed())
      std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder &) = delete;
  WorkFolder &operator=(const WorkFolder &) = delete;
  const std::filesystem::path &path() const { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace

std::string freshFolder(const std::string &name) {
  testing::UnitTest::GetInstance(); // made before the folder, so that it outlives it
  static const WorkFolder work;
  std::filesystem::path folder = work.path() / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder.string();
}

} // namespace kiln::test
