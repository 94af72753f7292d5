// What is wrong with a plugin is said in a sentence.
#include "backends/host/Registry.h"
#include "runtime/backend/Tables.h"

#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::host {
namespace {

using testing::HasSubstr;

std::string broken(int way) { return std::string(KILN_BROKEN_PLUGINS) + "/libbroken_" + std::to_string(way) + ".so"; }

std::string errorOf(const std::string &path) {
  std::string error;
  EXPECT_EQ(Backend::load(path, error), nullptr);
  return error;
}

TEST(Plugin, WhatIsWrongIsSaid) {
  EXPECT_THAT(errorOf("/no/such.so"), HasSubstr("there is no such file"));
  std::string text = testing::TempDir() + "text.so";
  std::ofstream(text) << "this is no library";
  EXPECT_THAT(errorOf(text), HasSubstr("it is not a shared object (ELF) file"));
  EXPECT_THAT(errorOf(broken(1)), HasSubstr("does not export kiln_backend_plugin"));
  EXPECT_THAT(errorOf(broken(2)), HasSubstr("it refuses: only on Sundays"));
  EXPECT_THAT(errorOf(broken(3)),
              HasSubstr("it speaks version 1000 of the backend interface; this kiln speaks 1 to 1"));
  EXPECT_THAT(errorOf(broken(4)), HasSubstr("its name is not an identifier"));
  EXPECT_THAT(errorOf(broken(5)), HasSubstr("neither a compile side nor a run side"));
  EXPECT_THAT(errorOf(broken(6)), HasSubstr("it lacks the function 'claim'"));
  EXPECT_THAT(errorOf(broken(7)), HasSubstr("it threw an exception"));
  EXPECT_THAT(errorOf(broken(10)), HasSubstr("neither a compile side nor a run side"));
}

TEST(Plugin, AnotherMachinesLibrary) {
  std::ifstream in(broken(8), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  ASSERT_GT(bytes.size(), 64u);
  bytes[18] = '\x15'; // a PowerPC's
  bytes[19] = 0;
  std::string path = testing::TempDir() + "foreign.so";
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT(errorOf(path), HasSubstr("built for another processor (ELF machine 21"));
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes.substr(0, 10);
  EXPECT_THAT(errorOf(path), HasSubstr("not a shared object"));
  bytes[18] = '\x3e';
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes.substr(0, 200);
  EXPECT_THAT(errorOf(path), HasSubstr("foreign.so"));
}

TEST(Plugin, AnExceptionInACallIsAnError) {
  std::string error;
  std::shared_ptr<Backend> backend = Backend::load(broken(8), error);
  ASSERT_TRUE(backend) << error;
  kiln_kernel kernel = {};
  kiln_target target = {};
  target.size = sizeof target;
  Answer answer;
  EXPECT_FALSE(backend->claim(kernel, target, answer, error));
  EXPECT_THAT(error, HasSubstr("it threw an exception"));
}

TEST(Plugin, TwoOfAName) {
  setenv("KILN_BACKEND_PATH", "/no/such/folder:", 1);
  Registry registry(KILN_PLUGIN_FOLDER);
  std::string error;
  ASSERT_TRUE(registry.find("cpu", error)) << error;
  EXPECT_EQ(registry.find(broken(9), error), nullptr);
  EXPECT_THAT(error, HasSubstr("two backends are called 'cpu'"));
  EXPECT_EQ(registry.find("gpu9000", error), nullptr);
  EXPECT_THAT(error, HasSubstr("there is no backend 'gpu9000'; there is: cpu"));
  unsetenv("KILN_BACKEND_PATH");
}

} // namespace
} // namespace kiln::host
