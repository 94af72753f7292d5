// What a machine can do, measured beside what a program does: multiply-adds from registers, bytes read and copied.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <thread>
#include <vector>

namespace kiln::bench {

/// On one thread its processor time, which other programs disturb less; on several the wall's.
inline bool onWall = true;
inline double now() {
  timespec t;
  clock_gettime(onWall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Threads that spin between jobs, so that what is measured is the kernel.
class Team {
public:
  explicit Team(unsigned size) : size(size) {
    for (unsigned i = 1; i < size; ++i)
      threads.emplace_back([this, i] {
        for (unsigned seen = 0;;) {
          while (round.load(std::memory_order_acquire) == seen)
            __builtin_ia32_pause();
          ++seen;
          if (stop)
            return;
          job(i);
          pending.fetch_sub(1, std::memory_order_release);
        }
      });
  }
  ~Team() {
    stop = true;
    round.fetch_add(1);
    for (std::thread &thread : threads)
      thread.join();
  }
  template <class Job> void run(Job body) {
    job = body;
    pending = size - 1;
    round.fetch_add(1, std::memory_order_release);
    job(0);
    while (pending.load(std::memory_order_acquire))
      __builtin_ia32_pause();
  }
  const unsigned size;

private:
  std::vector<std::thread> threads;
  std::function<void(unsigned)> job;
  std::atomic<unsigned> round = 0, pending = 0;
  std::atomic<bool> stop = false;
};

// One block of assembly: a compiler may spill accumulators.
#define FMA(r, i) "vfmadd231ps %%" r "30, %%" r "31, %%" r #i "\n"
#define FMAS(r)                                                                                                        \
  FMA(r, 0)                                                                                                            \
  FMA(r, 1) FMA(r, 2) FMA(r, 3) FMA(r, 4) FMA(r, 5) FMA(r, 6) FMA(r, 7) FMA(r, 8) FMA(r, 9) FMA(r, 10) FMA(r, 11)
inline void peakLoop512(long n) {
  asm volatile("1:\n" FMAS("zmm") FMAS("zmm") "dec %0\n jnz 1b"
               : "+r"(n)::"cc", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10",
                 "zmm11", "zmm30", "zmm31");
}
#define FMA2(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n"
inline void peakLoop256(long n) {
  asm volatile("1:\n" FMA2(0) FMA2(1) FMA2(2) FMA2(3) FMA2(4) FMA2(5) FMA2(6) FMA2(7) FMA2(8) FMA2(9) FMA2(10)
                   FMA2(11) "dec %0\n jnz 1b"
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                 "xmm11", "xmm14", "xmm15");
}

/// GFLOP/s of multiply-adds that live in registers, on all threads of the team.
inline double peak(Team &team) {
  bool wide = __builtin_cpu_supports("avx512f");
  long n = 200000;
  double begin = now();
  team.run([&](unsigned) { wide ? peakLoop512(n) : peakLoop256(n); });
  return static_cast<double>(n) * (wide ? 24 * 32 : 12 * 16) * team.size / (now() - begin) / 1e9;
}

/// GB/s of reading `bytes` that lie in memory once, each thread its share, in 64-byte vectors.
inline double readRate(Team &team, const float *data, int64_t bytes) {
  using Vector = float __attribute__((vector_size(64), aligned(64), may_alias));
  double begin = now();
  team.run([&](unsigned worker) {
    int64_t share = bytes / 64 / team.size;
    const Vector *from = reinterpret_cast<const Vector *>(data) + worker * share;
    Vector sums[8] = {};
    for (int64_t i = 0; i + 8 <= share; i += 8)
      for (int64_t j = 0; j < 8; ++j)
        sums[j] += from[i + j];
    for (const Vector &sum : sums)
      asm volatile("" ::"m"(sum)); // or nothing would be read
  });
  return static_cast<double>(bytes) / (now() - begin) / 1e9;
}

/// GB/s of x = x * c over `bytes`, counted twice: read and written, which is what an update of parameters does.
inline double updateRate(Team &team, float *data, int64_t bytes) {
  using Vector = float __attribute__((vector_size(64), aligned(64), may_alias));
  double begin = now();
  team.run([&](unsigned worker) {
    int64_t share = bytes / 64 / team.size;
    Vector *from = reinterpret_cast<Vector *>(data) + worker * share;
    for (int64_t i = 0; i < share; ++i)
      from[i] *= 0.999F;
  });
  return 2.0 * static_cast<double>(bytes) / (now() - begin) / 1e9;
}

} // namespace kiln::bench
