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

/// The whole sentence, but for the path that it begins with.
void expectError(const std::string &path, const std::string &sentence) {
  EXPECT_EQ(errorOf(path), "backend " + path + ": " + sentence);
}

TEST(Plugin, WhatIsWrongIsSaid) {
  expectError("/no/such.so", "there is no such file, or it cannot be read: look at the path and its permissions");
  expectError("/tmp",
              "it is a folder; name the plugin's file (KILN_BACKEND_PATH takes folders, --backend then a name)");
  std::string text = testing::TempDir() + "text.so";
  std::ofstream(text) << "this is no library";
  expectError(text, "it is not a shared object (ELF) file; a plugin is one that exports kiln_backend_plugin");
  expectError(broken(1), "it is no plugin of Kiln: it does not export kiln_backend_plugin (a C function, visible: see "
                         "kiln_backend.h)");
  expectError(broken(2), "it refuses: only on Sundays");
  expectError(broken(3), "it speaks version 1000 of the backend interface; this kiln speaks 1 to 1: build the plugin "
                         "against this kiln's kiln_backend.h");
  expectError(broken(4),
              "its name is not an identifier of at most 64 letters, digits and underscores: tell its author");
  std::string nothing =
      "it has neither a compile side nor a run side, so there is nothing to use it for: tell its author";
  expectError(broken(5), nothing);
  expectError(broken(6), "it lacks the function 'claim', which is not optional: tell its author");
  expectError(broken(7), "it threw an exception when it was asked for its tables, which the backend interface forbids: "
                         "tell its author");
  expectError(broken(10), nothing);
  expectError(broken(14), "it refuses: no error (the backend says no more)");
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

/// A kernel of one op without operands; what the backend says of it.
std::string claimError(int way) {
  std::string error;
  std::shared_ptr<Backend> backend = Backend::load(broken(way), error);
  EXPECT_TRUE(backend) << error;
  OpRow op = {};
  kiln_kernel kernel = {};
  kernel.op_count = 1;
  kernel.ops = &op;
  kiln_target target = {};
  target.size = sizeof target;
  Answer answer;
  EXPECT_FALSE(!backend || backend->claim(kernel, target, answer, error));
  return error;
}

TEST(Plugin, AnswersThatMakeNoSense) {
  EXPECT_EQ(claimError(8),
            "the backend broken: it threw an exception, which the backend interface forbids: tell its author");
  EXPECT_EQ(claimError(13), "the backend broken gave an answer that makes no sense: it took op 0 twice");
  EXPECT_EQ(claimError(16), "the backend broken answered a claim from another thread");
}

TEST(Plugin, WhatItTookItCannotCompile) {
  for (auto [way, sentence] : {std::pair(11, "the backend broken: out of registers (kernel k0_add)"),
                               std::pair(15, "the backend broken: it threw an exception, which the backend interface "
                                             "forbids: tell its author")}) {
    std::string error;
    std::shared_ptr<Backend> backend = Backend::load(broken(way), error);
    ASSERT_TRUE(backend) << error;
    kiln_kernel kernel = {};
    kernel.name = {"k0_add", 6};
    kiln_program program = {};
    program.kernel_count = 1;
    program.kernels = &kernel;
    kiln_target target = {};
    target.size = sizeof target;
    std::vector<Blob> blobs;
    EXPECT_FALSE(backend->compile(program, target, blobs, error));
    EXPECT_EQ(error, sentence);
    EXPECT_TRUE(blobs.empty());
  }
}

TEST(Plugin, AnAlignmentThatIsNone) {
  std::string error;
  std::shared_ptr<Backend> backend = Backend::load(broken(17), error);
  ASSERT_TRUE(backend) << error;
  kiln_target target = {};
  target.size = sizeof target;
  Capabilities capabilities;
  EXPECT_FALSE(backend->capabilities(target, capabilities, error));
  EXPECT_EQ(error, "the backend broken asks for an alignment of 48 bytes, which is no power of two up to 1048576: tell "
                   "its author");
}

TEST(Plugin, TwoOfAName) {
  setenv("KILN_BACKEND_PATH", "/no/such/folder:", 1);
  Registry registry(KILN_PLUGIN_FOLDER);
  std::string error, cpu = KILN_PLUGIN_FOLDER "/libkiln_backend_cpu.so";
  ASSERT_TRUE(registry.find("cpu", error)) << error;
  EXPECT_EQ(registry.find(broken(9), error), nullptr);
  EXPECT_EQ(error, "two backends are called 'cpu': " + cpu + " and " + broken(9) + "; give one of them another name");
  EXPECT_EQ(registry.find("gpu9000", error), nullptr);
  EXPECT_THAT(error, testing::StartsWith("there is no backend 'gpu9000'; there is: cpu"));
  EXPECT_THAT(error, testing::EndsWith("A path to a plugin (.so) works too, and KILN_BACKEND_PATH adds folders to look "
                                       "in; it names /no/such/folder, which is no folder"));
  EXPECT_THAT(registry.missing(), testing::ElementsAre("/no/such/folder"));
  // A name leads to a folder's plugin, not to one of that name that was loaded by its path.
  Registry other(KILN_PLUGIN_FOLDER);
  ASSERT_TRUE(other.find(broken(9), error)) << error;
  EXPECT_EQ(other.find("cpu", error), nullptr);
  EXPECT_THAT(error, HasSubstr("two backends are called 'cpu': " + broken(9) + " and " + cpu));
  unsetenv("KILN_BACKEND_PATH");
}

} // namespace
} // namespace kiln::host
