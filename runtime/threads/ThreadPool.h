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

  unsigned size() const { return size_; }

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
  /// What a worker has of the current job: a part of its units, the same one of every job with as many, so that what
  /// it wrote in one is near when it works on it in the next. Who has none is not called.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};             ///< generation (24 bits), the first unit that is left (20), the end (20)
    alignas(64) std::atomic<uint64_t> done{0}; ///< units that the worker has done, of all jobs
  };

  void work(uint32_t worker);
  bool takeOwn(uint32_t worker, uint64_t &taken);
  bool takeOthers(uint32_t worker, uint64_t &taken);
  void run(uint64_t begin, uint64_t units, uint32_t worker);
  void takeAll(uint32_t worker);
  bool allDone() const;
  void sleepUntilChange(uint64_t seen, uint32_t worker);

  // The current job. Whoever moves a share's ends owns what they moved over, and these plain fields stay as they are
  // until every unit is done.
  kiln_task task_ = nullptr;
  void *context_ = nullptr;
  int64_t count_ = 0, unit_ = 0;
  std::unique_ptr<Share[]> shares_; ///< by worker
  uint64_t given_ = 0;              ///< units of all jobs so far
  uint64_t generation_ = 0;
  unsigned size_ = 1;
  alignas(64) std::atomic<uint32_t> bell_{0};
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  int spins_ = 0;
  std::unique_ptr<char[]> signalStacks_; ///< of the workers, one after another
  std::vector<std::thread> workers_;
};

} // namespace kiln
