// A case in a process of its own: a crash of the compiler or of what it made ends that process, and is a verdict.
#include "tests/fuzz/Case.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln::test {

/// What the child writes until it closes the pipe; false where the time is over before.
static bool readAll(int pipe, int seconds, std::string &text) {
  char buffer[4096];
  for (int left = seconds * 10; left > 0;) {
    pollfd wait = {pipe, POLLIN, 0};
    int ready = poll(&wait, 1, 100);
    if (ready == 0)
      --left;
    if (ready <= 0)
      continue;
    ssize_t count = read(pipe, buffer, sizeof buffer);
    if (count <= 0)
      return true;
    text.append(buffer, static_cast<size_t>(count));
  }
  return false;
}

std::string judgeApart(const FuzzCase &fuzzCase, bool explain) {
  static const int seconds = std::getenv("KILN_FUZZ_SECONDS") ? std::atoi(std::getenv("KILN_FUZZ_SECONDS")) : 120;
  int pipes[2];
  if (pipe(pipes) != 0)
    return "no pipe";
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    close(pipes[0]);
    if (!freopen("/dev/null", "w", stderr)) // a crash is told by its signal
      _exit(1);
    std::string why = judge(fuzzCase, explain);
    for (size_t at = 0; at < why.size();) {
      ssize_t count = write(pipes[1], why.data() + at, why.size() - at);
      if (count <= 0)
        break;
      at += static_cast<size_t>(count);
    }
    _exit(why.empty() ? 0 : 1);
  }
  close(pipes[1]);
  std::string why;
  bool ended = readAll(pipes[0], seconds, why);
  close(pipes[0]);
  if (!ended)
    kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (!ended)
    return "no end after " + std::to_string(seconds) + " seconds";
  if (WIFSIGNALED(status))
    return "the process ended with signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) +
           ")";
  if (why.empty() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
    return "the process ended with code " + std::to_string(WEXITSTATUS(status));
  return why;
}

} // namespace kiln::test
