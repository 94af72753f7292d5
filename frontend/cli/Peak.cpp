// Loops that only multiply and add, only read, update or copy.
#include "frontend/cli/Peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <sys/mman.h>
#include <thread>
#include <vector>

#pragma clang fp contract(fast)

namespace kiln {

namespace {

constexpr double kBurstSeconds = 1e-3; // shorter than the time slice of whoever else wants the processor

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void onThreads(unsigned threads, const std::function<void(unsigned)> &work) {
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back(work, i);
  work(0);
  for (std::thread &other : others)
    other.join();
}

/// Where threads wait for each other between bursts.
class Gate {
public:
  explicit Gate(unsigned threads) : threads_(threads) {}
  void pass() {
    unsigned round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (unsigned spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
      if (spins > 1000)
        std::this_thread::yield();
  }

private:
  unsigned threads_;
  std::atomic<unsigned> arrived_ = 0, round_ = 0;
};

// Twelve independent chains cover the latency of a multiply-add on two units. In assembly on x86: compilers spill an
// array of accumulators.
#if defined(__x86_64__)
#define KILN_FMA(r, i) "vfmadd231ps %%" r "14, %%" r "15, %%" r #i "\n"
#define KILN_FMAS(r)                                                                                                   \
  KILN_FMA(r, 0)                                                                                                       \
  KILN_FMA(r, 1)                                                                                                       \
  KILN_FMA(r, 2)                                                                                                       \
  KILN_FMA(r, 3)                                                                                                       \
  KILN_FMA(r, 4)                                                                                                       \
  KILN_FMA(r, 5)                                                                                                       \
  KILN_FMA(r, 6)                                                                                                       \
  KILN_FMA(r, 7)                                                                                                       \
  KILN_FMA(r, 8)                                                                                                       \
  KILN_FMA(r, 9) KILN_FMA(r, 10) KILN_FMA(r, 11)
#define KILN_LOOP(r)                                                                                                   \
  asm volatile("1:\n" KILN_FMAS(r) "dec %0\n jnz 1b"                                                                   \
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",        \
                 "xmm10", "xmm11", "xmm14", "xmm15")

/// Gives how many operations `rounds` are.
double multiplyAdd(long rounds) {
  long n = rounds;
  if (__builtin_cpu_supports("avx512f")) {
    KILN_LOOP("zmm");
    return 12.0 * 2 * 16 * static_cast<double>(rounds);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    KILN_LOOP("ymm");
    return 12.0 * 2 * 8 * static_cast<double>(rounds);
  }
#else
double multiplyAdd(long rounds) {
#endif
  using Vector = float __attribute__((vector_size(16)));
  Vector a = {1, 1, 1, 1}, sums[12] = {};
  for (long i = 0; i < rounds; ++i)
    for (Vector &sum : sums)
      sum = sum * a + a;
  for (Vector &sum : sums)
    asm volatile("" : "+m"(sum));
  return 12.0 * 2 * 4 * static_cast<double>(rounds);
}

double peakFlops(unsigned threads) {
  constexpr int bursts = 60;
  constexpr long rounds = 100000; // about a third of a millisecond
  double best = 0;
  Gate gate(threads);
  onThreads(threads, [&](unsigned thread) {
    for (int i = 0; i < bursts; ++i) {
      gate.pass();
      double begin = now();
      double operations = multiplyAdd(rounds);
      gate.pass(); // threads may share a core's units: all of them have to be through
      if (thread == 0)
        best = std::max(best, operations * threads / (now() - begin));
    }
  });
  return best;
}

using Words = uint64_t __attribute__((vector_size(64)));

#if defined(__x86_64__)
#define KILN_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define KILN_WIDE
#endif

KILN_WIDE void readAll(Words *data, size_t count) {
  Words a = {}, b = {}, c = {}, d = {};
  for (size_t i = 0; i + 4 <= count; i += 4) {
    a ^= data[i];
    b ^= data[i + 1];
    c ^= data[i + 2];
    d ^= data[i + 3];
  }
  a ^= b ^ c ^ d;
  asm volatile("" : : "m"(a));
}

KILN_WIDE void updateAll(Words *data, size_t count) {
  for (size_t i = 0; i < count; ++i)
    data[i] += 1;
}

void copyAll(Words *data, size_t count) { std::memcpy(data, data + count / 2, count / 2 * sizeof(Words)); }

/// As a program's memory: large blocks in large pages. Null where there is none.
std::unique_ptr<void, decltype(&std::free)> memoryOf(size_t bytes) {
  constexpr size_t page = 4096, large = 2 << 20;
  size_t unit = bytes >= 2 * large ? large : page, size = (bytes + unit - 1) / unit * unit;
  std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(unit, size), std::free);
  if (memory && unit == large)
    madvise(memory.get(), size, MADV_HUGEPAGE);
  return memory;
}

double peakBandwidth(unsigned threads, size_t workingSet) {
  struct Stream {
    void (*run)(Words *, size_t);
    double bytesPerByte;
  };
  static constexpr Stream streams[] = {{readAll, 1}, {updateAll, 2}, {copyAll, 1}};
  constexpr int bursts = 30;
  size_t count = std::max<size_t>(workingSet / threads / sizeof(Words), 64);
  double best = 0;
  Gate gate(threads);
  std::atomic<int> times = 1; // passes over the memory in a burst
  onThreads(threads, [&](unsigned thread) {
    std::unique_ptr<void, decltype(&std::free)> memory = memoryOf(count * sizeof(Words));
    auto *data = static_cast<Words *>(memory.get());
    if (data)
      std::memset(data, 1, count * sizeof(Words));
    for (const Stream &stream : streams)
      for (int burst = 0; burst < bursts; ++burst) {
        if (thread == 0 && burst == 0)
          times = 1;
        gate.pass();
        int rounds = times;
        double begin = now();
        for (int i = 0; data && i < rounds; ++i)
          stream.run(data, count);
        gate.pass(); // memory is shared: all of them have to be through
        if (thread != 0 || !data)
          continue;
        double seconds = std::max(now() - begin, 1e-9);
        best = std::max(best,
                        stream.bytesPerByte * rounds * threads * static_cast<double>(count * sizeof(Words)) / seconds);
        if (burst == 0)
          times = static_cast<int>(std::clamp(kBurstSeconds / seconds, 1.0, 100000.0));
      }
  });
  return best;
}

} // namespace

MachinePeak::MachinePeak(unsigned threads)
    : threads_(std::max(1u, std::min(threads, std::thread::hardware_concurrency()))) {}

/// Down, so that the limit is not that of a cache which the working set just fits.
size_t MachinePeak::sizeClass(size_t workingSet) {
  size_t size = static_cast<size_t>(1) << 15;
  while (size * 2 <= workingSet && size < static_cast<size_t>(1) << 28)
    size *= 2;
  return size;
}

void MachinePeak::sample(size_t workingSet) {
  flops_ = std::max(flops_, peakFlops(threads_));
  double &best = bandwidth_[sizeClass(workingSet)];
  best = std::max(best, peakBandwidth(threads_, sizeClass(workingSet)));
}

double MachinePeak::gbPerSecond(size_t workingSet) const {
  auto found = bandwidth_.find(sizeClass(workingSet));
  return found == bandwidth_.end() ? 0 : found->second * 1e-9;
}

} // namespace kiln
