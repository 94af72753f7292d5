#include "frontend/cli/Peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

namespace kiln {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Wall time of `work` on that many threads at once.
double timed(unsigned threads, const std::function<void(unsigned)> &work) {
  double begin = now();
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back(work, i);
  work(0);
  for (std::thread &other : others)
    other.join();
  return now() - begin;
}

#if defined(__x86_64__)
// Twelve independent chains cover the latency of a multiply-add on two units.
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

double peakFlops(unsigned threads) {
  bool wide = __builtin_cpu_supports("avx512f");
  if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
    return 0;
  constexpr long rounds = 4000000;
  double best = 0;
  for (int repeat = 0; repeat < 4; ++repeat) {
    double seconds = timed(threads, [&](unsigned) {
      long n = rounds;
      if (wide)
        KILN_LOOP("zmm");
      else
        KILN_LOOP("ymm");
    });
    best = std::max(best, 12.0 * 2 * (wide ? 16 : 8) * rounds * threads / seconds);
  }
  return best;
}
#else
double peakFlops(unsigned) { return 0; }
#endif

double peakBandwidth(unsigned threads) {
  constexpr size_t bytes = size_t(64) << 20; // of each thread: beyond any cache
  std::vector<std::vector<char>> from(threads), to(threads);
  timed(threads, [&](unsigned i) {
    from[i].assign(bytes, 1);
    to[i].assign(bytes, 0);
  });
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    double seconds = timed(threads, [&](unsigned i) { std::memcpy(to[i].data(), from[i].data(), bytes); });
    best = std::max(best, 2.0 * bytes * threads / seconds);
  }
  return best;
}

} // namespace

MachinePeak measurePeak(unsigned threads) { return {peakFlops(threads) * 1e-9, peakBandwidth(threads) * 1e-9}; }

} // namespace kiln
