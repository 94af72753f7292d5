// Handlers of signals and of the process's end, and the thread that counts the seconds of a call.

#include "runtime/backend/Guard.h"

#include "runtime/backend/Cancel.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace kiln {

namespace {

constexpr int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

const char *processPrefix = "", *processAdvice = "";
CallRecord ownRecord;
struct sigaction before[std::size(fatal)];
SharedText<512> checkpoint;
std::atomic<int64_t> checkpointStep = 0;
std::atomic<bool> told = false;

void addCheckpoint(Sentence &sentence) {
  if (checkpoint.empty())
    return;
  sentence << ". The last checkpoint stands: ";
  checkpoint.each([&](char c) { sentence << std::string_view(&c, 1); });
  sentence << ", after step " << checkpointStep.load() << "; --resume goes on from it";
}

void addEnd(Sentence &sentence) {
  sentence << processAdvice;
  addCheckpoint(sentence);
}

/// What the record says, once.
void tellEnd(std::string_view what, int signal) {
  const CallRecord *record = callRecord.load(std::memory_order_relaxed);
  if (told.exchange(true))
    return;
  bool within = record && record->underWay();
  Sentence sentence;
  sentence << processPrefix;
  if (within)
    addCall(sentence, *record, what);
  else
    sentence << "kiln's own code " << what;
  if (signal) {
    sentence << ": ";
    addSignal(sentence, signal);
  }
  if (within) {
    sentence << ". ";
    addEnd(sentence);
  }
  sentence.tell();
}

void onFatal(int signal, siginfo_t *info, void *context) {
  tellEnd("crashed", signal);
  for (size_t i = 0; i < std::size(fatal); ++i) {
    if (fatal[i] != signal)
      continue;
    // As if this had not been here: what stood there before (a sanitizer's report, say), or the default.
    if (before[i].sa_flags & SA_SIGINFO)
      return before[i].sa_sigaction(signal, info, context);
    sigaction(signal, &before[i], nullptr);
    raise(signal);
  }
}

void onExit(int status, void *) {
  const CallRecord *record = callRecord.load(std::memory_order_relaxed);
  if (!record || !record->underWay())
    return;
  tellEnd("ended the process", 0);
  if (status == 0)
    _exit(1);
}

} // namespace

Sentence &Sentence::operator<<(std::string_view text) {
  size_t size = std::min(text.size(), sizeof text_ - 1 - size_);
  std::memcpy(text_ + size_, text.data(), size);
  size_ += size;
  return *this;
}

Sentence &Sentence::operator<<(int64_t number) {
  char digits[24];
  size_t at = sizeof digits;
  bool negative = number < 0;
  for (; number || at == sizeof digits; number /= 10)
    digits[--at] = static_cast<char>('0' + (negative ? -(number % 10) : number % 10));
  return *this << std::string_view(negative ? "-" : "") << std::string_view(digits + at, sizeof digits - at);
}

void Sentence::tell() {
  int before = errno; // a handler of a signal leaves it as it was
  text_[size_++] = '\n';
  if (isatty(STDERR_FILENO)) // a line of progress may be open
    (void)!write(STDERR_FILENO, "\n", 1);
  for (size_t at = 0; at < size_;) {
    ssize_t count = write(STDERR_FILENO, text_ + at, size_ - at);
    if (count <= 0)
      break;
    at += static_cast<size_t>(count);
  }
  errno = before;
}

void addSignal(Sentence &sentence, int signal) {
  static constexpr struct {
    int number;
    const char *name;
  } names[] = {{SIGSEGV, "segmentation fault (SIGSEGV)"},
               {SIGBUS, "access to memory that is not there (SIGBUS)"},
               {SIGFPE, "arithmetic error (SIGFPE)"},
               {SIGILL, "illegal instruction (SIGILL)"},
               {SIGABRT, "abort (SIGABRT)"},
               {SIGTRAP, "trap (SIGTRAP)"},
               {SIGKILL, "killed (SIGKILL; the system does that where memory runs out)"},
               {SIGSYS, "bad system call (SIGSYS)"}};
  for (const auto &[number, name] : names)
    if (number == signal) {
      sentence << name;
      return;
    }
  sentence << "signal " << static_cast<int64_t>(signal);
}

void addCall(Sentence &sentence, const CallRecord &record, std::string_view what) {
  auto add = [&](const auto &text) { text.each([&](char c) { sentence << std::string_view(&c, 1); }); };
  sentence << "the backend ";
  add(record.backend);
  sentence << " " << what << " in its ";
  add(record.function);
  const char *open = " (";
  if (!record.entry.empty()) {
    sentence << open << "'";
    add(record.entry);
    sentence << "'";
    open = ", ";
  }
  if (!record.kernel.empty()) {
    sentence << open << "kernel ";
    add(record.kernel);
    open = ", ";
  }
  if (*open == ',')
    sentence << ")";
}

void guardProcess(const char *prefix, const char *advice) {
  processPrefix = prefix;
  processAdvice = advice;
  if (callRecord.exchange(&ownRecord))
    return; // already
  // A stack of its own, for what overflows the process's.
  static char stack[65536];
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  for (size_t i = 0; i < std::size(fatal); ++i) {
    struct sigaction action = {};
    action.sa_sigaction = onFatal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(fatal[i], &action, &before[i]);
  }
  on_exit(onExit, nullptr);
}

void noteCheckpoint(const std::string &path, int64_t step) {
  checkpoint.set(path);
  checkpointStep = step;
}

std::string standingCheckpoint() {
  Sentence sentence;
  addCheckpoint(sentence);
  return std::string(sentence.text());
}

Watchdog::Watchdog(int64_t seconds, const char *option, bool foreign) {
  if (seconds <= 0)
    return;
  sigset_t all, mask; // signals are for the other threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  thread_ = std::thread([=, this] { watch(seconds, option, foreign); });
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

Watchdog::~Watchdog() {
  if (!thread_.joinable())
    return;
  {
    std::lock_guard lock(mutex_);
    isOver_ = true;
  }
  over_.notify_all();
  thread_.join();
}

/// Counts in looks at the record and not by a clock, so that a process that was stopped for a while is not late.
void Watchdog::watch(int64_t seconds, const char *option, bool foreign) {
  constexpr int64_t looks = 4; // a second
  uint64_t last = 0;
  int64_t count = 0;
  std::unique_lock lock(mutex_);
  while (!over_.wait_for(lock, std::chrono::milliseconds(1000 / looks), [this] { return isOver_; })) {
    const CallRecord *record = callRecord.load(std::memory_order_relaxed);
    uint64_t turn = record ? record->turn.load(std::memory_order_relaxed) : 0;
    bool counts = turn % 2 && (record->foreign || !foreign);
    count = counts && turn == last ? count + 1 : 0;
    last = turn;
    constexpr int64_t grace = 5; // seconds in which a backend that looks for it gives up
    if (count == seconds * looks) {
      cancelSeconds = seconds;
      (void)askToCancel(CancelReason::Late);
    }
    if (count < (seconds + (someoneCancels ? grace : 0)) * looks || told.exchange(true))
      continue;
    Sentence sentence;
    sentence << processPrefix;
    addCall(sentence, *record, "has not come back");
    sentence << " for " << seconds << " s (" << option << "). ";
    addEnd(sentence);
    sentence.tell();
    _exit(1);
  }
}

} // namespace kiln
