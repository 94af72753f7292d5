// How products and convolutions are shared out among threads. The CPU's alone: its tasks are seen as they write.
#include "tests/backends/cpu/Window.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

using namespace kiln::test;

namespace {

/// Bytes that the busiest of some threads writes, over their mean: each begins with its share of neighbouring tasks.
double busiest(const std::vector<int64_t> &tasks, int64_t threads) {
  int64_t largest = 0, count = static_cast<int64_t>(tasks.size());
  auto begin = [&](int64_t thread) { return tasks.begin() + (thread * count + threads - 1) / threads; };
  for (int64_t thread = 0; thread < threads; ++thread)
    largest = std::max(largest, std::accumulate(begin(thread), begin(thread + 1), int64_t{0}));
  auto all = static_cast<double>(std::accumulate(tasks.begin(), tasks.end(), int64_t{0}));
  return static_cast<double>(largest * threads) / all;
}

/// ResNet-50's convolutions are shared out evenly: the phase that writes the result, on two threads.
TEST(Convolution, TasksOfOneSize) {
  struct Row {
    Ints input, filter;
    int64_t stride, phases;
    double most;
  };
  for (const Row &row :
       {Row{{1, 64, 56, 56}, {256, 64, 1, 1}, 1, 1, 1.01}, Row{{1, 64, 56, 56}, {64, 64, 3, 3}, 1, 3, 1.03},
        Row{{1, 256, 14, 14}, {256, 256, 3, 3}, 1, 3, 1.04}, Row{{1, 1024, 14, 14}, {256, 1024, 1, 1}, 1, 2, 1.04},
        Row{{1, 512, 7, 7}, {512, 512, 3, 3}, 1, 2, 1.04}, Row{{1, 512, 14, 14}, {512, 512, 3, 3}, 2, 2, 1.04},
        Row{{1, 160, 7, 7}, {960, 160, 1, 1}, 1, 2, 1.04}, Row{{1, 512, 28, 28}, {128, 512, 1, 1}, 1, 1, 1.07}}) {
    SCOPED_TRACE(testing::PrintToString(row.input) + " " + testing::PrintToString(row.filter));
    TestKernel k("k0", "contract");
    uint32_t x = k.input(KILN_F32, fixed(row.input)), f = k.input(KILN_F32, fixed(row.filter));
    Window w = plane(row.stride, row.filter[2] / 2);
    k.output(addConvolution(k, x, f, KILN_F32, fixed(resultOf(row.input, row.filter, w)), w));
    std::vector<std::vector<int64_t>> written = writtenByTasks(k, "x86-64-v3:l2=1M");
    ASSERT_EQ(static_cast<int64_t>(written.size()), row.phases);
    EXPECT_LE(busiest(written.back(), 2), row.most) << testing::PrintToString(written.back());
  }
}

/// The product of [m, k] and [k, n], each summed along one of its axes.
void addProduct(TestKernel &k, const Ints &extents, int64_t left, int64_t right) {
  int64_t m = extents[0], n = extents[1], depth = extents[2];
  uint32_t l = k.input(KILN_F32, fixed(left == 0 ? Ints{depth, m} : Ints{m, depth}));
  uint32_t r = k.input(KILN_F32, fixed(right == 0 ? Ints{depth, n} : Ints{n, depth}));
  k.output(k.op(
      "dot_general", {l, r}, KILN_F32, fixed({m, n}),
      {ints("lhs_batch", {}), ints("rhs_batch", {}), ints("lhs_contract", {left}), ints("rhs_contract", {right})}));
}

/// Of 25 panels of columns the last is half of one: it is among the 13 of two threads' larger share, not among the 12.
TEST(Convolution, TheLastPanelIsInTheLargerShare) {
  TestKernel k("k0", "contract");
  Ints input{1, 512, 28, 28}, filter{128, 512, 1, 1};
  uint32_t x = k.input(KILN_F32, fixed(input)), f = k.input(KILN_F32, fixed(filter));
  k.output(addConvolution(k, x, f, KILN_F32, fixed(resultOf(input, filter, plane())), plane()));
  std::vector<std::vector<int64_t>> phases = writtenByTasks(k, "x86-64-v4:l2=1M");
  ASSERT_EQ(phases.size(), 1u);
  EXPECT_LE(busiest(phases[0], 2), 1.03) << testing::PrintToString(phases[0]);
}

/// Threads begin with neighbouring tasks: two and four of them with as much each as columns allow.
TEST(Dot, NeighboursTakeOneShare) {
  struct Row {
    Ints extents;
    int64_t left, right;
    double two, four;
  };
  for (const Row &row : {Row{{128, 784, 32}, 0, 0, 1.07, 1.15}, Row{{32, 128, 784}, 1, 1, 1.04, 1.15},
                         Row{{32, 1024, 256}, 1, 0, 1.01, 1.01}, Row{{256, 1024, 2048}, 0, 0, 1.05, 1.05}}) {
    SCOPED_TRACE(testing::PrintToString(row.extents));
    TestKernel k("k0", "contract");
    addProduct(k, row.extents, row.left, row.right);
    std::vector<std::vector<int64_t>> phases = writtenByTasks(k, "x86-64-v4:l2=1M");
    ASSERT_FALSE(phases.empty());
    for (auto [threads, most] : {std::pair(2, row.two), std::pair(4, row.four)})
      EXPECT_LE(busiest(phases.back(), threads), most) << threads << ": " << testing::PrintToString(phases.back());
  }
}

/// What all tasks multiply by is packed with a worker's first ones alone: later ones do not look at it again.
TEST(Dot, RowsArePackedOnceAWorker) {
  TestKernel k("k0", "contract");
  addProduct(k, {32, 1024, 256}, 1, 0);
  auto [kept, lost] = withInputLostBehindFirstTask(k, "x86-64-v4:l2=1M");
  EXPECT_FALSE(kept.empty());
  EXPECT_EQ(kept, lost);
}

/// What takes less than a fork is one task; more is shared out.
TEST(Dot, SmallOnesStayOnOneThread) {
  for (const std::string cpu : {"x86-64-v3:l2=1M", "x86-64-v4:l2=1M"})
    for (int64_t left : {0, 1})
      for (int64_t right : {0, 1})
        for (Ints extents : {Ints{26, 48, 48}, Ints{48, 48, 26}, Ints{3, 200, 40}, Ints{256, 256, 256}}) {
          int64_t m = extents[0], n = extents[1], depth = extents[2];
          SCOPED_TRACE(cpu + ": " + testing::PrintToString(extents) + ", summed along " + std::to_string(left) +
                       " and " + std::to_string(right));
          TestKernel k("k0", "contract");
          addProduct(k, extents, left, right);
          std::vector<std::vector<int64_t>> written = writtenByTasks(k, cpu);
          ASSERT_FALSE(written.empty());
          bool small = m * n * depth < 1 << 20;
          EXPECT_EQ(written.back().size() == 1, small);
          EXPECT_TRUE(!small || written.size() == 1) << "phases: " << written.size();
        }
}

/// Nothing to compute: no task packs an operand, whatever way it is cut.
TEST(Dot, NoTasksOfNothing) {
  for (const std::string cpu : {"native", "x86-64-v3:l2=32K"})
    for (const Ints &extents : {Ints{152, 0, 64}, {0, 152, 64}}) {
      SCOPED_TRACE(cpu + testing::PrintToString(extents));
      TestKernel k("k0", "contract");
      addProduct(k, extents, 1, 1);
      for (const std::vector<int64_t> &phase : writtenByTasks(k, cpu))
        EXPECT_TRUE(phase.empty());
    }
}

} // namespace
