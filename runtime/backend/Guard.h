// A process that tells what ended it: a backend that crashes, exits or does not come back is named before the end.
#pragma once

#include "runtime/backend/Inside.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace kiln {

/// A sentence made without allocating, in a signal handler too. What does not fit is cut off.
class Sentence {
public:
  Sentence &operator<<(std::string_view text);
  Sentence &operator<<(int64_t number);
  std::string_view text() const { return {text_, size_}; }
  /// To standard error, with an end of line.
  void tell();

private:
  char text_[2048];
  size_t size_ = 0;
};

/// "segmentation fault (SIGSEGV)"; a number where it is none of the common ones.
void addSignal(Sentence &sentence, int signal);
/// "the backend cpu <what> in its execute ('train_step', kernel k0_add)".
void addCall(Sentence &sentence, const CallRecord &record, std::string_view what);

/// From now on this process records its calls into backends. A signal that ends it (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
/// SIGABRT), or a call of exit(), is told in a sentence that begins with `prefix` and, where a backend was at work,
/// ends with `advice`; then comes what would have come without. An exit with code 0 within a backend becomes code 1.
void guardProcess(const char *prefix, const char *advice);

/// The checkpoint that stands whatever comes.
void noteCheckpoint(const std::string &path, int64_t step);
/// ". The last checkpoint stands: ..."; empty where there is none.
std::string standingCheckpoint();

/// Ends the process, with a sentence and code 1, where a call into a backend takes longer. Needs guardProcess().
class Watchdog {
public:
  /// `option`: what the user may change it by. 0 seconds: no limit. `foreign`: those of foreign backends alone.
  Watchdog(int64_t seconds, const char *option, bool foreign = false);
  ~Watchdog();
  Watchdog(const Watchdog &) = delete;

private:
  void watch(int64_t seconds, const char *option, bool foreign);
  std::mutex mutex_;
  std::condition_variable over_;
  bool isOver_ = false;
  std::thread thread_;
};

} // namespace kiln
