// Fork and join over a range, in about a microsecond when hot.
#pragma once

#include "backends/api/kiln_backend.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace kiln {

/// How many processors this process may use, by its affinity mask.
unsigned availableProcessors();

/// The number that `what` asks for, checked (1 to 1024); throws Error.
unsigned checkThreadCount(int64_t asked, const char *what = "--threads");

class ThreadPool {
public:
  /// The calling thread is one of the `threads`.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  unsigned size() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Runs task over [0, count) in pieces and returns when all is done. Not reentrant; the task must not throw.
  void parallelFor(int64_t count, kiln_task task, void *context);

  /// The same for a callable (begin, end).
  template <typename Function> void forRange(int64_t count, Function &&function) {
    parallelFor(
        count,
        [](void *context, int64_t begin, int64_t end, uint32_t) {
          (*static_cast<std::remove_reference_t<Function> *>(context))(begin, end);
        },
        &function);
  }

private:
  void work(uint32_t worker);
  bool takeOne(uint32_t worker);
  void sleepUntilChange(uint64_t seen);

  // The current job, in units of tasks. `ticket_` holds generation (24 bits), units (20) and the next unit (20):
  // whoever moves it on owns what it moved over, and the plain fields below stay as they are until every unit is done.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  kiln_task task_ = nullptr;
  void *context_ = nullptr;
  int64_t count_ = 0, unit_ = 0;
  alignas(64) std::atomic<uint64_t> done_{0};
  alignas(64) std::atomic<uint32_t> bell_{0};
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  int spins_ = 0;
  std::unique_ptr<char[]> signalStacks_; ///< of the workers, one after another
  std::vector<std::thread> workers_;
};

} // namespace kiln
