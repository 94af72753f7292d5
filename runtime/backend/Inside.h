// Which call into a backend is under way: what is told of it where it does not come back.
#pragma once

#include "backends/api/kiln_text.h"
#include "runtime/backend/Negotiate.h"

#include <atomic>

namespace kiln {

/// Text that is written here and read in a signal handler, or in another process that shares the memory.
template <size_t N> class SharedText {
public:
  void set(std::string_view text) {
    size_t size = text.size() < N ? text.size() : N;
    for (size_t i = 0; i < size; ++i)
      bytes_[i].store(text[i], std::memory_order_relaxed);
    size_.store(static_cast<uint32_t>(size), std::memory_order_relaxed);
  }
  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }
  /// Calls put(char) for each. Safe in a signal handler where `put` is.
  template <typename Put> void each(Put put) const {
    for (size_t i = 0, size = size_.load(std::memory_order_relaxed); i < size && i < N; ++i)
      put(bytes_[i].load(std::memory_order_relaxed));
  }

private:
  std::atomic<uint32_t> size_ = 0;
  std::atomic<char> bytes_[N] = {};
};

struct CallRecord {
  SharedText<64> backend;
  SharedText<32> function;
  SharedText<64> entry;
  SharedText<192> kernel;
  std::atomic<uint64_t> turn = 0;     ///< calls begun and ended: odd while one is under way
  std::atomic<bool> reading = false;  ///< the kernel that a backend reads is the one that it is at
  std::atomic<bool> finished = false; ///< of a process that is watched: it has come to its end
  bool underWay() const { return turn.load(std::memory_order_relaxed) % 2; }
};

/// Where calls are recorded; null (as long as nobody watches): nowhere. Whoever sets it has calls come one at a time.
extern std::atomic<CallRecord *> callRecord;

/// While it lives, a call is under way.
class Inside {
public:
  /// An entry or a kernel that is not named here is as it was noted before.
  Inside(std::string_view backend, const char *function, std::string_view entry = {}, std::string_view kernel = {});
  ~Inside();
  Inside(const Inside &) = delete;

private:
  CallRecord *record_;
};

/// The calls that follow are about this entry, until this is gone.
class AboutEntry {
public:
  explicit AboutEntry(std::string_view entry);
  ~AboutEntry();
  AboutEntry(const AboutEntry &) = delete;
};

/// A backend reads a kernel, which says where it is.
void noteKernelRead(std::string_view name);

inline std::string_view nameOf(const BackendTables &tables) { return view(tables.backend.name); }

/// To be called in a catch (...): throws an Error that says what the backend threw; std::bad_alloc stays what it is.
[[noreturn]] void failThrown(std::string_view backend, const char *function, std::string_view entry);
/// The same on stderr, where nothing may be thrown.
void tellThrown(std::string_view backend, const char *function) noexcept;

/// Makes a call into a backend. The interface forbids it to throw; where it does, that is an Error with its name.
template <typename Call>
int32_t within(const BackendTables &tables, const char *function, Call call, std::string_view entry = {},
               std::string_view kernel = {}) {
  Inside inside(nameOf(tables), function, entry, kernel);
  try {
    return call();
  } catch (...) {
    failThrown(nameOf(tables), function, entry);
  }
}

/// One that gives something back: it has no way to fail.
template <typename Call> void givingBack(const BackendTables &tables, const char *function, Call call) noexcept {
  Inside inside(nameOf(tables), function);
  try {
    call();
  } catch (...) {
    tellThrown(nameOf(tables), function);
  }
}

} // namespace kiln
