// The child that does the work, and the parent that reads what it notes in shared memory.

#include "frontend/cli/Apart.h"

#include "frontend/cli/Installed.h"
#include "runtime/backend/Guard.h"

#include "absl/strings/str_cat.h"
#include "llvm/Support/FileSystem.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln {

namespace {

constexpr size_t mostResult = 65535;

/// What both processes see.
struct Shared {
  CallRecord record;
  std::atomic<int> code = 0;
  SharedText<mostResult> result;
};

int noise = -1, ownOutput = -1, ownError = -1; // in the child

/// While a foreign backend is at work, what this process prints is its doing.
void redirect(bool begins) {
  std::fflush(stdout);
  dup2(begins ? noise : ownOutput, STDOUT_FILENO);
  dup2(begins ? noise : ownError, STDERR_FILENO);
}

volatile std::sig_atomic_t stopSignal = 0, stops = 0;
void onStop(int signal) {
  stopSignal = signal;
  stops = stops + 1;
}
void onChild(int) {}

constexpr int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
constexpr int stopping[] = {SIGINT, SIGTERM, SIGHUP};

/// The parent's handlers; a call of ppoll() alone lets them run.
class Signals {
public:
  Signals() {
    stopSignal = 0;
    stops = 0;
    sigset_t blocked;
    sigemptyset(&blocked);
    struct sigaction action = {};
    for (size_t i = 0; i < std::size(stopping); ++i) {
      sigaddset(&blocked, stopping[i]);
      action.sa_handler = onStop;
      sigaction(stopping[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) // nohup
        sigaction(stopping[i], &action, nullptr);
    }
    sigaddset(&blocked, SIGCHLD);
    action.sa_handler = onChild;
    sigaction(SIGCHLD, &action, &child_);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
  }
  ~Signals() {
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    restore();
  }
  /// As they were: the child's too.
  void restore() const {
    for (size_t i = 0; i < std::size(stopping); ++i)
      sigaction(stopping[i], &before_[i], nullptr);
    sigaction(SIGCHLD, &child_, nullptr);
  }
  sigset_t mask;

private:
  struct sigaction before_[std::size(stopping)], child_;
};

/// What a backend prints, passed on line by line.
class Relay {
public:
  Relay(int pipe, const CallRecord &record) : pipe_(pipe), record_(record) {}
  /// What there is now; whether there was anything.
  bool take() {
    char block[4096];
    bool some = false;
    for (ssize_t count; (count = read(pipe_, block, sizeof block)) > 0; some = true)
      for (ssize_t i = 0; i < count; ++i)
        if (block[i] == '\n')
          pass();
        else if (line_.size() < longest)
          line_ += static_cast<unsigned char>(block[i]) < 0x20 && block[i] != '\t' ? '?' : block[i];
    return some;
  }
  void finish() {
    take();
    if (!line_.empty())
      pass();
  }

private:
  void pass() {
    constexpr size_t most = 1000;
    if (++lines_ <= most) {
      std::string name;
      record_.backend.each([&](char c) { name += c; });
      std::fprintf(stderr, "%s: %s\n", name.c_str(), line_.c_str());
      if (lines_ == most)
        std::fprintf(stderr, "%s: (it prints more than %zu lines; the rest is left out)\n", name.c_str(), most);
    }
    line_.clear();
  }
  static constexpr size_t longest = 2000;
  int pipe_;
  const CallRecord &record_;
  std::string line_;
  size_t lines_ = 0;
};

/// The child's life; it does not return.
[[noreturn]] void work(Shared &shared, int pipe, const std::string &folder,
                       const std::function<int(std::string &)> &command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int number : crashes)
    std::signal(number, SIG_DFL); // no stack dump of the compiler's: the parent says what crashed
  if (!folder.empty())
    setenv("TMPDIR", folder.c_str(), 1);
  // Beyond the numbers that anybody closes by habit, and not for what a backend starts.
  noise = fcntl(pipe, F_DUPFD_CLOEXEC, 100);
  ownOutput = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
  ownError = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
  close(pipe);
  callRecord = &shared.record;
  aroundForeignCall = redirect;
  std::string result;
  int code = command(result);
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    std::fprintf(stderr, "kiln: error: cannot write to standard output: %s\n", std::strerror(errno));
    code = code ? code : 1;
  }
  if (result.size() > mostResult) {
    std::fprintf(stderr, "kiln: error: a command's result is longer than %zu bytes\n", mostResult);
    code = code ? code : 1;
  }
  shared.result.set(result);
  shared.code = code;
  shared.record.finished = true;
  _exit(code); // without the backend's destructors, whose doings are nobody's result
}

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Until the child is no more; its status. `silent`: it was ended for its silence.
int watchOver(pid_t child, const Shared &shared, Relay &relay, int pipe, const Signals &signals, int64_t silence,
              bool &silent) {
  double before = now(), quiet = 0, stopped = 0;
  uint64_t last = 0;
  int passedOn = 0;
  for (int status = 0;;) {
    if (waitpid(child, &status, WNOHANG) == child)
      return status;
    pollfd wait{pipe, POLLIN, 0};
    timespec look = {0, 250'000'000};
    ppoll(&wait, 1, &look, &signals.mask);
    double passed = std::min(now() - before, 1.0); // more: this process was stopped
    before = now();
    uint64_t turn = shared.record.turn;
    bool same = turn == last && turn % 2 && shared.record.foreign;
    quiet = relay.take() || !same ? 0 : quiet + passed;
    last = turn;
    stopped = stops ? stopped + passed : 0;
    if (stops > passedOn) {
      passedOn = stops;
      kill(child, stops > 1 ? SIGKILL : stopSignal);
    } else if (stopped > 2) {
      kill(child, SIGKILL);
    } else if (silence > 0 && quiet >= static_cast<double>(silence) && !silent) {
      silent = true;
      kill(child, SIGKILL);
    }
  }
}

/// What came of a child that did not come to its end.
void tell(const Shared &shared, int status, bool silent, int64_t silence, const std::string &author) {
  const CallRecord &record = shared.record;
  Sentence sentence;
  sentence << "kiln: error: ";
  bool crashed = WIFSIGNALED(status);
  std::string_view what = silent ? "has not come back" : crashed ? "crashed" : "ended the process";
  if (record.underWay())
    addCall(sentence, record, what);
  else
    sentence << "kiln's own code " << what;
  if (silent) {
    sentence << " for " << silence << " s (--backend-timeout)";
  } else if (crashed) {
    sentence << ": ";
    addSignal(sentence, WTERMSIG(status));
  } else {
    sentence << ", with exit code " << static_cast<int64_t>(WEXITSTATUS(status));
  }
  if (record.underWay())
    sentence << ". Take another backend (--backend cpu), or tell its author" << author;
  sentence.tell();
}

int inChild(const ApartOptions &options, const std::string &author, const std::function<int(std::string &)> &command,
            std::string *result) {
  void *memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int ends[2];
  if (memory == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0) {
    std::fprintf(stderr, "kiln: error: no process for a foreign backend: %s; --trust does without\n",
                 std::strerror(errno));
    return 1;
  }
  auto &shared = *new (memory) Shared;
  llvm::SmallString<128> folder;
  if (llvm::sys::fs::createUniqueDirectory("kiln-apart", folder))
    folder.clear();
  std::fflush(nullptr);
  int code = 1, ended = 0;
  {
    Signals signals;
    pid_t child = fork();
    if (child == 0) {
      signals.restore();
      sigprocmask(SIG_SETMASK, &signals.mask, nullptr);
      close(ends[0]);
      work(shared, ends[1], folder.str().str(), command);
    }
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (child < 0) {
      std::fprintf(stderr, "kiln: error: no process for a foreign backend: %s; --trust does without\n",
                   std::strerror(errno));
    } else {
      Relay relay(ends[0], shared.record);
      bool silent = false;
      int status = watchOver(child, shared, relay, ends[0], signals, options.silence, silent);
      relay.finish();
      if (shared.record.finished)
        code = shared.code;
      else if (stops || (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM)))
        ended = stops ? stopSignal : WTERMSIG(status);
      else
        tell(shared, status, silent, options.silence, author);
      if (result)
        shared.result.each([&](char c) { *result += c; });
    }
    close(ends[0]);
    if (!folder.empty())
      (void)llvm::sys::fs::remove_directories(folder);
    munmap(memory, sizeof(Shared));
  }
  if (ended) { // the end that whoever started this process expects
    std::signal(ended, SIG_DFL);
    std::raise(ended);
  }
  return code;
}

} // namespace

int apart(const ApartOptions &options, const std::vector<std::string> &backends,
          const std::function<int(std::string &)> &command, std::string *result) {
  std::vector<std::string> foreign;
  for (const std::string &backend : backends) {
    std::string ignored; // a name that leads nowhere is the command's to tell
    if (std::string path = installed().backends().locate(backend, ignored);
        !path.empty() && installed().backends().foreign(path))
      foreign.push_back(path);
  }
  if (!foreign.empty() && !options.trust)
    return inChild(options, foreign.size() == 1 ? absl::StrCat(" (", foreign.front(), ")") : "", command, result);
  std::string own;
  int code = 0;
  if (foreign.empty()) {
    code = command(own);
  } else {
    for (int number : crashes)
      std::signal(number, SIG_DFL);
    guardProcess("kiln: error: ", "Take another backend (--backend cpu), or tell its author");
    Watchdog watchdog(options.silence, "--backend-timeout", /*foreign=*/true);
    code = command(own);
  }
  if (result)
    *result = own;
  return code;
}

} // namespace kiln
