// The program over the fake backend as a user starts it: a process, its output, its exit code.
#pragma once

#include "runtime/files/File.h"
#include "tests/runtime/Temporary.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace kiln::testing {

struct Outcome {
  int code = -1; // exit code, or minus the signal
  std::string out, err;
};

/// Starts the program in a folder of its own that holds line.csv.
class ProgramProcess : public ::testing::Test {
protected:
  ProgramProcess() {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      double a = (i * 37 % 41) / 20.0 - 1, b = (i * 17 % 29) / 14.0 - 1;
      text += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(2 * a - 3 * b + 0.5) + "\n";
    }
    folder_.write("line.csv", text);
  }

  pid_t start(const std::vector<std::string> &arguments) {
    pid_t child = fork();
    if (child != 0)
      return child;
    if (chdir(folder_.path().c_str()) != 0)
      _exit(99);
    if (largestFile_ > 0) {
      rlimit limit = {largestFile_, largestFile_};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    dup2(open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666), 1);
    dup2(open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666), 2);
    std::vector<char *> list = {const_cast<char *>("prog")};
    for (const std::string &argument : arguments)
      list.push_back(const_cast<char *>(argument.c_str()));
    list.push_back(nullptr);
    execv(KILN_FAKE_PROGRAM, list.data());
    _exit(98);
  }

  Outcome finish(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    Outcome outcome;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    outcome.out = readFile(at("out.txt"));
    outcome.err = readFile(at("err.txt"));
    return outcome;
  }

  Outcome run(const std::vector<std::string> &arguments) { return finish(start(arguments)); }
  std::string at(const std::string &name) const { return folder_.path() + "/" + name; }

  /// Until a file of the folder holds the text, however slow the machine.
  void waitFor(const std::string &name, const std::string &text) {
    for (int i = 0; i < 60000 && !(fileExists(at(name)) && readFile(at(name)).find(text) != std::string::npos); ++i)
      usleep(1000);
  }

  rlim_t largestFile_ = 0; // bytes that the program may write to one file; 0: no limit
  TemporaryFolder folder_;
};

} // namespace kiln::testing
