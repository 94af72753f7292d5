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

namespace kiln {

namespace {
constexpr unsigned maxThreads = 1024;
constexpr uint64_t fieldMask = (1u << 20) - 1;
constexpr uint64_t unitsOf(uint64_t ticket) { return ticket >> 20 & fieldMask; }
constexpr uint64_t nextOf(uint64_t ticket) { return ticket & fieldMask; }

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
  signalStacks_.reset(new char[(std::max(threads, 1u) - 1) * SignalStack::bytes]);
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
  int64_t units = (count + unit_ - 1) / unit_;
  task_ = task;
  context_ = context;
  count_ = count;
  done_.store(0, std::memory_order_relaxed);
  uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> 40) + 1;
  ticket_.store(generation << 40 | static_cast<uint64_t>(units) << 20, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) {
    bell_.fetch_add(1, std::memory_order_seq_cst);
    futexWake(bell_, static_cast<int>(std::min<int64_t>(units - 1, maxThreads)));
  }
  while (takeOne(0)) {
  }
  for (int spin = 0; done_.load(std::memory_order_acquire) != static_cast<uint64_t>(units); ++spin) {
    if (spin < spins_)
      pause();
    else
      sched_yield();
  }
}

bool ThreadPool::takeOne(uint32_t worker) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire), size = 0;
  do {
    if (nextOf(ticket) >= unitsOf(ticket))
      return false;
    // Half of a thread's share of what is left, so that the last pieces, which the others wait for, are small.
    size = std::max<uint64_t>(1, (unitsOf(ticket) - nextOf(ticket)) / (2 * uint64_t{this->size()}));
  } while (!ticket_.compare_exchange_weak(ticket, ticket + size, std::memory_order_acq_rel, std::memory_order_acquire));
  int64_t begin = static_cast<int64_t>(nextOf(ticket)) * unit_;
  task_(context_, begin, std::min(begin + static_cast<int64_t>(size) * unit_, count_), worker);
  done_.fetch_add(size, std::memory_order_acq_rel);
  return true;
}

void ThreadPool::work(uint32_t worker) {
  SignalStack stack(&signalStacks_[(worker - 1) * SignalStack::bytes]);
  while (!stop_.load(std::memory_order_relaxed)) {
    uint64_t seen = ticket_.load(std::memory_order_acquire);
    if (takeOne(worker))
      continue;
    bool changed = false;
    for (int spin = 0; spin < spins_ && !changed; ++spin) {
      pause();
      changed = ticket_.load(std::memory_order_acquire) >> 40 != seen >> 40;
    }
    if (!changed)
      sleepUntilChange(seen);
  }
}

void ThreadPool::sleepUntilChange(uint64_t seen) {
  uint32_t bell = bell_.load(std::memory_order_seq_cst);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  // Whoever publishes after this look sees a sleeper and rings; whoever published before it is seen here.
  if (ticket_.load(std::memory_order_seq_cst) >> 40 == seen >> 40 && !stop_.load(std::memory_order_seq_cst))
    futexWait(bell_, bell);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

} // namespace kiln
