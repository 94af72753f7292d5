// What is kept is found as it was, by whatever process; what was damaged, or cannot be kept, does no harm. And what a
// kernel is known by.
#include "backends/sdk/Store.h"
#include "backends/sdk/Key.h"
#include "runtime/support/Tensor.h"
#include "tests/backends/cpu/TestKernel.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <thread>

namespace {
using namespace kiln::test;
using kiln::sdk::Store;

class StoreTest : public testing::Test {
protected:
  std::string folder = std::string(testing::TempDir()) + "store-" + std::to_string(getpid());
  void SetUp() override { std::filesystem::remove_all(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }

  size_t files() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {})); }
  static std::string found(const Store &store, const std::string &name) {
    std::string bytes;
    return store.find(name, bytes) ? bytes : "nothing";
  }
};

TEST_F(StoreTest, KeepsAndFinds) {
  Store store(folder + "/deeper/down");
  EXPECT_EQ(found(store, "abc"), "nothing");
  store.keep("abc", "one");
  store.keep("abd", "");
  EXPECT_EQ(found(store, "abc"), "one");
  EXPECT_EQ(found(Store(folder + "/deeper/down"), "abd"), "");
  store.keep("abc", "two");
  EXPECT_EQ(found(store, "abc"), "two");
  for (const char *name : {"", "a", "../abc", "a/b", "a b"}) {
    store.keep(name, "none");
    EXPECT_EQ(found(store, name), "nothing") << name;
  }
}

TEST_F(StoreTest, WhatWasDamagedIsNotFoundAndGoes) {
  Store store(folder);
  std::string bytes(1000, 'x');
  for (int at : {0, 9, 17, 24, 500, 1023}) { // the mark, the size, the sum, the bytes
    store.keep("abc", bytes);
    std::fstream(folder + "/abc", std::ios::in | std::ios::out).seekp(at).put('!');
    EXPECT_EQ(found(store, "abc"), "nothing") << at;
    EXPECT_FALSE(std::filesystem::exists(folder + "/abc"));
  }
  for (uintmax_t size : {0, 7, 24, 1023, 1025}) {
    store.keep("abc", bytes);
    std::filesystem::resize_file(folder + "/abc", size);
    EXPECT_EQ(found(store, "abc"), "nothing") << size;
  }
  store.keep("abc", bytes); // under another name
  std::filesystem::rename(folder + "/abc", folder + "/abd");
  EXPECT_EQ(found(store, "abd"), "nothing");
  store.keep("abc", bytes);
  EXPECT_EQ(found(store, "abc"), bytes);
}

TEST_F(StoreTest, NothingIsKeptWhereNothingCanBe) {
  Store("").keep("abc", "one");
  EXPECT_EQ(found(Store(""), "abc"), "nothing");
  std::ofstream(folder) << "a file";
  Store(folder).keep("abc", "one"); // no folder can be there
  EXPECT_EQ(found(Store(folder), "abc"), "nothing");
  std::filesystem::remove(folder);
  std::filesystem::create_directories(folder + "/abc"); // something else of that name
  Store(folder).keep("abc", "one");
  EXPECT_EQ(found(Store(folder), "abc"), "nothing");
  EXPECT_EQ(files(), 1u);
}

// As on a full disk: what cannot be written whole leaves nothing.
TEST_F(StoreTest, HalfAFileIsNone) {
  Store store(folder);
  store.keep("abc", "one");
  auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit was{}, few{};
  getrlimit(RLIMIT_FSIZE, &was);
  few = was;
  few.rlim_cur = 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &few), 0);
  store.keep("abd", std::string(10000, 'x'));
  setrlimit(RLIMIT_FSIZE, &was);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(found(store, "abd"), "nothing");
  EXPECT_EQ(files(), 1u);
}

TEST_F(StoreTest, ManyAtOnce) {
  auto bytesOf = [](int name) {
    return std::string(static_cast<size_t>(1000 + name * 37), static_cast<char>('a' + name));
  };
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0, right = 0;
  for (int thread = 0; thread < 8; ++thread)
    threads.emplace_back([&, thread] {
      Store store(folder);
      for (int i = 0; i < 200; ++i) {
        int name = (i * 7 + thread) % 10;
        store.keep("name" + std::to_string(name), bytesOf(name));
        std::string bytes;
        if (store.find("name" + std::to_string(name), bytes))
          ++(bytes == bytesOf(name) ? right : wrong);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(right, 1600);
  EXPECT_EQ(files(), 10u);
}

TEST_F(StoreTest, TheOldestGo) {
  Store store(folder, 100 * 1000);
  std::string bytes(1000, 'x');
  auto name = [](int i) { return "f" + std::to_string(1000 + i); };
  auto age = [&](const std::string &file, int minutes) {
    std::filesystem::last_write_time(folder + "/" + file,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::minutes(minutes));
  };
  for (int i = 0; i < 150; ++i) {
    store.keep(name(i), bytes);
    age(name(i), 1000 - i);
  }
  std::ofstream(folder + "/new-1-1") << "of a process that was killed";
  age("new-1-1", 90);
  std::ofstream(folder + "/new-1-2") << "of one that is writing";
  EXPECT_EQ(found(store, name(0)), bytes); // asked for now
  store.keep("00", bytes);                 // a name at which room is made
  EXPECT_EQ(found(store, "00"), bytes);
  EXPECT_EQ(found(store, name(0)), bytes);
  EXPECT_EQ(found(store, name(1)), "nothing");
  EXPECT_EQ(found(store, name(149)), bytes);
  EXPECT_FALSE(std::filesystem::exists(folder + "/new-1-1"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/new-1-2"));
  EXPECT_LE(files(), 76u);
  EXPECT_GE(files(), 70u);
  store.keep("abc", std::string(100 * 1000 + 1, 'x')); // more than there is room for
  EXPECT_EQ(found(store, "abc"), "nothing");
}

// keyOf: everything counts but the name and the place in the text.
TEST(Key, TellsKernelsApart) {
  auto key = [](const char *name, int64_t rows, int32_t slot, const char *op, int64_t axis) {
    TestKernel kernel(name);
    Dim row(rows, slot);
    uint32_t x = kernel.input(KILN_F32, {row, 8});
    uint32_t y = kernel.op(op, {x});
    kernel.output(
        kernel.op("reduce", {y}, KILN_F32, {axis ? row : Dim(8)}, {ints("axes", {axis}), string("kind", "sum")}));
    return kiln::sdk::keyOf(*kiln::tableReader(), &kernel.get());
  };
  std::string one = key("k0", 4, -1, "exp", 1);
  EXPECT_EQ(one, key("k17_other", 4, -1, "exp", 1));
  EXPECT_NE(one, key("k0", 5, -1, "exp", 1));
  EXPECT_NE(one, key("k0", 4, 0, "exp", 1));
  EXPECT_NE(one, key("k0", 4, -1, "log", 1));
  EXPECT_NE(one, key("k0", 4, -1, "exp", 0));
}
} // namespace
