// Workers that spin for a while and then sleep.

#include "runtime/threads/ThreadPool.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <csignal>
#include <linux/futex.h>
#include <memory>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace kiln {

namespace {
constexpr unsigned maxThreads = 1024;
constexpr uint64_t fieldMask = (1u << 20) - 1;
constexpr uint64_t generationOf(uint64_t share) { return share >> 40; }
constexpr uint64_t beginOf(uint64_t share) { return share >> 20 & fieldMask; }
constexpr uint64_t endOf(uint64_t share) { return share & fieldMask; }
constexpr uint64_t shareOf(uint64_t generation, uint64_t begin, uint64_t end) {
  return generation << 40 | begin << 20 | end;
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void futexWait(std::atomic<uint32_t> &word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void futexWake(std::atomic<uint32_t> &word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}
} // namespace

unsigned availableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    return std::clamp(CPU_COUNT(&set), 1, static_cast<int>(maxThreads));
  return std::clamp(static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)), 1u, maxThreads);
}

unsigned checkThreadCount(int64_t asked, const char *what) {
  if (asked < 1 || asked > static_cast<int64_t>(maxThreads))
    fail("%s %lld: expected 1 to %u; this machine has %u processors for the program", what,
         static_cast<long long>(asked), maxThreads, availableProcessors());
  return static_cast<unsigned>(asked);
}

namespace {
/// Where a thread whose own stack is full handles the signal that it gets for that.
class SignalStack {
public:
  explicit SignalStack(char *memory) {
    stack_t stack = {};
    stack.ss_sp = memory;
    stack.ss_size = bytes;
    sigaltstack(&stack, &before_);
  }
  ~SignalStack() { sigaltstack(&before_, nullptr); }
  SignalStack(const SignalStack &) = delete;
  static constexpr size_t bytes = 65536;

private:
  stack_t before_ = {};
};
} // namespace

ThreadPool::ThreadPool(unsigned threads) {
  // Spinning only pays where every thread has a processor of its own.
  spins_ = threads <= availableProcessors() ? 4000 : 0;
  // Here and not by the workers: one that starts late would allocate in the middle of a step.
  size_ = std::max(threads, 1u);
  shares_ = std::make_unique<Share[]>(size_);
  signalStacks_.reset(new char[(size_ - 1) * SignalStack::bytes]);
  try {
    for (unsigned i = 1; i < threads; ++i)
      workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error &) {
    size_t started = workers_.size();
    stop_ = true;
    bell_ += 1;
    futexWake(bell_, static_cast<int>(maxThreads));
    for (std::thread &worker : workers_)
      worker.join();
    fail("--threads %u: the system starts no more than %zu threads for this program", threads, started + 1);
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  bell_ += 1;
  futexWake(bell_, static_cast<int>(maxThreads));
  for (std::thread &worker : workers_)
    worker.join();
}

void ThreadPool::parallelFor(int64_t count, kiln_task task, void *context) {
  if (count <= 0)
    return;
  if (count == 1 || workers_.empty()) {
    task(context, 0, count, 0);
    return;
  }
  constexpr auto most = static_cast<int64_t>(fieldMask);
  unit_ = (count + most - 1) / most;
  auto units = static_cast<uint64_t>((count + unit_ - 1) / unit_);
  task_ = task;
  context_ = context;
  count_ = count;
  given_ += units;
  ++generation_;
  for (uint64_t worker = size_, end = units; worker-- > 0;) {
    uint64_t begin = (worker * units + size_ - 1) / size_;
    if (begin < end)
      shares_[worker].left.store(shareOf(generation_, begin, end), std::memory_order_release);
    end = begin;
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) {
    bell_.fetch_add(1, std::memory_order_seq_cst);
    futexWake(bell_, static_cast<int>(std::min<uint64_t>(units - 1, maxThreads)));
  }
  takeAll(0);
  for (int spin = 0; !allDone(); ++spin) {
    if (spin < spins_)
      pause();
    else
      sched_yield();
  }
}

bool ThreadPool::allDone() const {
  uint64_t done = 0;
  for (unsigned worker = 0; worker < size_; ++worker)
    done += shares_[worker].done.load(std::memory_order_acquire);
  return done == given_;
}

void ThreadPool::run(uint64_t begin, uint64_t units, uint32_t worker) {
  int64_t first = static_cast<int64_t>(begin) * unit_;
  task_(context_, first, std::min(first + static_cast<int64_t>(units) * unit_, count_), worker);
}

/// Half of what is left of the worker's own share, from its front, so that the last pieces, which the others wait for,
/// are small.
bool ThreadPool::takeOwn(uint32_t worker, uint64_t &taken) {
  std::atomic<uint64_t> &own = shares_[worker].left;
  uint64_t share = own.load(std::memory_order_acquire), units = 0;
  do {
    if (beginOf(share) == endOf(share))
      return false;
    units = std::max<uint64_t>(1, (endOf(share) - beginOf(share)) / 2);
  } while (
      !own.compare_exchange_weak(share, share + (units << 20), std::memory_order_acq_rel, std::memory_order_acquire));
  run(beginOf(share), units, worker);
  taken += units;
  return true;
}

/// Half of what is left of the first other share that has some, from its back.
bool ThreadPool::takeOthers(uint32_t worker, uint64_t &taken) {
  for (unsigned i = 1; i < size_; ++i) {
    std::atomic<uint64_t> &other = shares_[(worker + i) % size_].left;
    uint64_t share = other.load(std::memory_order_acquire);
    while (beginOf(share) != endOf(share)) {
      uint64_t units = std::max<uint64_t>(1, (endOf(share) - beginOf(share)) / 2);
      if (!other.compare_exchange_weak(share, share - units, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      run(endOf(share) - units, units, worker);
      taken += units;
      return true;
    }
  }
  return false;
}

/// Takes until nothing is left, and tells what was done whenever others may be waiting for it.
void ThreadPool::takeAll(uint32_t worker) {
  std::atomic<uint64_t> &done = shares_[worker].done;
  uint64_t taken = 0;
  do {
    while (takeOwn(worker, taken)) {
    }
    if (taken)
      done.store(done.load(std::memory_order_relaxed) + std::exchange(taken, 0), std::memory_order_release);
  } while (takeOthers(worker, taken));
}

void ThreadPool::work(uint32_t worker) {
  SignalStack stack(&signalStacks_[(worker - 1) * SignalStack::bytes]);
  std::atomic<uint64_t> &own = shares_[worker].left;
  while (!stop_.load(std::memory_order_relaxed)) {
    uint64_t seen = generationOf(own.load(std::memory_order_acquire));
    takeAll(worker);
    bool changed = false;
    for (int spin = 0; spin < spins_ && !changed; ++spin) {
      pause();
      changed = generationOf(own.load(std::memory_order_acquire)) != seen;
    }
    if (!changed)
      sleepUntilChange(seen, worker);
  }
}

void ThreadPool::sleepUntilChange(uint64_t seen, uint32_t worker) {
  uint32_t bell = bell_.load(std::memory_order_seq_cst);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // Whoever publishes after this look sees a sleeper and rings; whoever published before it is seen here.
  uint64_t share = shares_[worker].left.load(std::memory_order_acquire);
  if (generationOf(share) == seen && !stop_.load(std::memory_order_seq_cst))
    futexWait(bell_, bell);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

} // namespace kiln
