// The thread pool under load, nested and empty.
#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

namespace kiln {
namespace {

class Pool : public ::testing::TestWithParam<unsigned> {};

TEST_P(Pool, EveryIndexOnce) {
  ThreadPool pool(GetParam());
  for (int64_t count : {0, 1, 2, 3, 7, 64, 1000, 12345, 2500000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
    pool.forRange(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        ++seen[static_cast<size_t>(i)];
    });
    for (const std::atomic<int> &times : seen)
      ASSERT_EQ(times, 1);
  }
}

/// Nobody waits long for the last one.
TEST_P(Pool, PiecesShrinkToOneTask) {
  ThreadPool pool(GetParam());
  for (int64_t count : {7, 14, 25, 100}) {
    std::vector<int64_t> pieces(static_cast<size_t>(count)); // by their first task
    pool.forRange(count, [&](int64_t begin, int64_t end) { pieces[static_cast<size_t>(begin)] = end - begin; });
    if (pool.size() > 1) {
      int64_t share = (count + pool.size() - 1) / pool.size();
      EXPECT_EQ(std::accumulate(pieces.begin(), pieces.end(), int64_t{0}), count);
      EXPECT_LE(*std::max_element(pieces.begin(), pieces.end()), std::max<int64_t>(1, share / 2)) << count;
      EXPECT_GE(std::count(pieces.begin(), pieces.end(), 1), 1) << count;
    }
  }
}

/// Each begins with the same tasks of every job, so that it finds near what it has written before.
TEST_P(Pool, WorkersBeginWithTheirOwnShare) {
  ThreadPool pool(GetParam());
  struct Job {
    std::vector<int64_t> first; // by worker
    std::atomic<int64_t> came{0};
  };
  for (int64_t count : {8, 27, 1000, 2500000}) {
    Job job{std::vector<int64_t>(pool.size(), -1)};
    pool.parallelFor(
        count,
        [](void *context, int64_t begin, int64_t, uint32_t worker) {
          auto &job = *static_cast<Job *>(context);
          if (job.first[worker] >= 0)
            return;
          job.first[worker] = begin;
          ++job.came;
          while (job.came < static_cast<int64_t>(job.first.size())) // nobody takes what is another's
            std::this_thread::yield();
        },
        &job);
    for (int64_t worker = 0, size = pool.size(); worker < size; ++worker) {
      int64_t ideal = (worker * count + size - 1) / size; // of 2,500,000, some tasks are one unit
      EXPECT_NEAR(static_cast<double>(job.first[static_cast<size_t>(worker)]), static_cast<double>(ideal),
                  count / 100000)
          << count;
    }
  }
}

TEST_P(Pool, ManyShortJobs) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> sums(16);
  for (int job = 0; job < 3000; ++job)
    pool.forRange(16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sums[static_cast<size_t>(i)] += i;
    });
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), static_cast<int64_t>(0)), 3000 * 120);
}

TEST_P(Pool, WakesSleepers) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5)); // longer than the workers spin
    std::atomic<int64_t> sum{0};
    pool.forRange(100, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 100);
  }
}

TEST_P(Pool, WorkerNumbersStayBelowSize) {
  ThreadPool pool(GetParam());
  std::atomic<uint32_t> most{0};
  pool.parallelFor(
      1000,
      [](void *context, int64_t, int64_t, uint32_t worker) {
        auto *most = static_cast<std::atomic<uint32_t> *>(context);
        uint32_t seen = *most;
        while (worker > seen && !most->compare_exchange_weak(seen, worker)) {
        }
      },
      &most);
  EXPECT_LT(most, pool.size());
}

INSTANTIATE_TEST_SUITE_P(Sizes, Pool, ::testing::Values(1u, 2u, 3u, 8u));

/// Far more than any machine has processors for: fewer tasks than workers, one for each, more.
TEST(Threads, HundredsOfWorkers) {
  ThreadPool pool(300);
  for (int64_t count : {1, 2, 17, 299, 300, 301, 5000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
    pool.forRange(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        ++seen[static_cast<size_t>(i)];
    });
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](const std::atomic<int> &times) { return times == 1; }));
  }
}

TEST(Threads, CountIsChecked) {
  EXPECT_EQ(checkThreadCount(3), 3u);
  for (int64_t wrong : {static_cast<int64_t>(0), static_cast<int64_t>(-1), static_cast<int64_t>(10000), INT64_MAX})
    EXPECT_THROW(checkThreadCount(wrong), Error) << wrong;
  EXPECT_GE(availableProcessors(), 1u);
}

} // namespace
} // namespace kiln
