// Prints what the machine can do just now, as JSON, the best of a few tries: limits [threads]: {"gflops":…} of
// multiply-adds from registers,
// {"read":…,"update":…} in GB/s over 512 MiB.
#include "tests/bench/Limits.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

using namespace kiln::bench;

int main(int argc, char **argv) {
  constexpr int64_t bytes = 512 << 20, page = 2 << 20;
  Team team(argc > 1 ? std::max(1U, static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10))) : 2);
  auto *data = static_cast<float *>(std::aligned_alloc(page, bytes));
  if (!data)
    return 1;
  madvise(data, bytes, MADV_HUGEPAGE);
  std::memset(data, 0, bytes);
  double flops = 0, read = 0, update = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    flops = std::max(flops, peak(team));
    read = std::max(read, readRate(team, data, bytes));
    update = std::max(update, updateRate(team, data, bytes));
  }
  std::printf("{\"gflops\":%.1f,\"read\":%.1f,\"update\":%.1f}\n", flops, read, update);
}
