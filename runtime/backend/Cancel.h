// Giving up what backends are at: the word behind kiln_execution.cancel.
#pragma once

#include <atomic>
#include <cstdint>

namespace kiln {

enum class CancelReason : int32_t { None = 0, Interrupted = 1, Late = 2 };

/// All executions of this process look at this one. Set in signal handlers and on other threads.
extern std::atomic<int32_t> cancelWord;
static_assert(std::atomic<int32_t>::is_always_lock_free && sizeof(std::atomic<int32_t>) == sizeof(int32_t));
inline const volatile int32_t *cancelAddress() { return reinterpret_cast<const volatile int32_t *>(&cancelWord); }

/// Where it was too late: after how many seconds.
extern std::atomic<int64_t> cancelSeconds;

/// A device that was opened looks at it.
extern std::atomic<bool> someoneCancels;

/// Asks whoever looks to give up; false where nobody looks. Safe in a signal handler.
inline bool askToCancel(CancelReason reason) {
  if (someoneCancels)
    cancelWord = static_cast<int32_t>(reason);
  return someoneCancels;
}
inline CancelReason cancelReason() { return static_cast<CancelReason>(cancelWord.load()); }

} // namespace kiln
