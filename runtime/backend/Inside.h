// Which call into a backend is under way: what is told of it where it does not come back.
#pragma once

#include <atomic>
#include <string_view>

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
  SharedText<512> backend; ///< its name, or, as long as that is not known, its file
  SharedText<32> function;
  SharedText<64> entry;
  SharedText<192> kernel;
  std::atomic<uint64_t> turn = 0;     ///< calls begun and ended: odd while one is under way
  std::atomic<bool> foreign = false;  ///< the backend did not come with Kiln
  std::atomic<bool> reading = false;  ///< the kernel that a backend reads is the one that it is at
  std::atomic<bool> finished = false; ///< of a process that is watched: it has come to its end
  bool underWay() const { return turn.load(std::memory_order_relaxed) % 2; }
};

/// Where calls are recorded; null (as long as nobody watches): nowhere. Whoever sets it has calls come one at a time.
extern std::atomic<CallRecord *> callRecord;

/// Called before and after each call of a backend that did not come with Kiln, where a record is kept; may be null.
extern void (*aroundForeignCall)(bool begins);

/// While it lives, a call is under way. One at a time.
class Inside {
public:
  /// An entry that is not named here is the one of AboutEntry.
  Inside(std::string_view backend, bool foreign, const char *function, std::string_view entry = {},
         std::string_view kernel = {});
  ~Inside();
  Inside(const Inside &) = delete;

private:
  CallRecord *record_;
  bool foreign_;
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

} // namespace kiln
