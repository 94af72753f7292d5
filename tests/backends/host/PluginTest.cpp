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
  expectError(broken(19), "it states 1 options at no address: tell its author");
  expectError(broken(20),
              "its option 0 has the name 'a b', which is not up to 64 letters, digits, '-' and '_', a letter "
              "first: tell its author");
  expectError(broken(21), "it has two options 'tile': tell its author");
  expectError(broken(22),
              "its option 0 ('tile') has the default '65', and is a whole number from 1 to 64: tell its author");
  expectError(broken(23), "its option 0 ('tile') is of the sides 4: tell its author");
  expectError(broken(24), "its option 0 states a size of 12 bytes: tell its author");
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

/// What the host says of a plugin that does the thing; empty where nothing.
class Wrong : public ::testing::Test {
protected:
  Wrong() {
    unsetenv("KILN_WRONG");
    std::string error;
    backend_ = Backend::load(broken_, error);
    EXPECT_TRUE(backend_) << error;
    kernel_.op_count = 1;
    kernel_.ops = &op_;
    kernel_.value_count = kernel_.input_count = 1;
    kernel_.values = &value_;
    kernel_.inputs = &input_;
    kernel_.name = {"k0_add", 6};
    program_.kernel_count = 1;
    program_.kernels = &kernel_;
    target_.size = sizeof target_;
  }
  ~Wrong() override { unsetenv("KILN_WRONG"); }

  std::string capabilities(const char *way) {
    setenv("KILN_WRONG", way, 1);
    Capabilities capabilities;
    std::string error;
    EXPECT_EQ(backend_->capabilities(target_, capabilities, error), error.empty());
    return error;
  }
  std::string claim(const char *way) {
    setenv("KILN_WRONG", way, 1);
    std::string error;
    EXPECT_EQ(backend_->claim(kernel_, target_, answer_, error), error.empty());
    return error;
  }
  std::string compile(const char *way) {
    setenv("KILN_WRONG", way, 1);
    std::string error;
    EXPECT_EQ(backend_->compile(program_, target_, blobs_, error), error.empty());
    return error;
  }

  std::string broken_ = KILN_BROKEN_PLUGINS "/libkiln_backend_wrong.so";
  std::shared_ptr<Backend> backend_;
  OpRow op_ = {};
  kiln_extent dim_ = {4, -1};
  ValueRow value_ = {KILN_F32, 1, &dim_};
  uint32_t input_ = 0;
  kiln_kernel kernel_ = {};
  kiln_program program_ = {};
  kiln_target target_ = {};
  Answer answer_;
  std::vector<Blob> blobs_;
};

TEST_F(Wrong, NotAtAll) {
  EXPECT_EQ(capabilities(""), "");
  EXPECT_EQ(claim(""), "");
  EXPECT_TRUE(answer_.whole(1));
  EXPECT_EQ(compile(""), "");
  EXPECT_EQ(blobs_.size(), 1u);
}

TEST_F(Wrong, Capabilities) {
  EXPECT_EQ(capabilities("capabilities: composite"),
            "the backend wrong names a composite 'soft max', which no op can be called: tell its author");
  EXPECT_EQ(capabilities("capabilities: composite nowhere"),
            "the backend wrong names a composite of 9 bytes at no address: tell its author");
  EXPECT_EQ(capabilities("capabilities: composites at no address"),
            "the backend wrong names 3 composites at no address: tell its author");
  EXPECT_EQ(capabilities("capabilities: many composites"),
            "the backend wrong names 1099511627776 composites at no address: tell its author");
  EXPECT_EQ(capabilities("capabilities: flags"), "the backend wrong sets the flags 0x100, which version 1 of the "
                                                 "interface does not have: tell its author");
  EXPECT_EQ(capabilities("capabilities: binding"),
            "the backend wrong states a max_binding_bytes of -1: tell its author");
  EXPECT_EQ(capabilities("capabilities: allocation"),
            "the backend wrong states a max_allocation_bytes of -9223372036854775808: tell its author");
  EXPECT_EQ(capabilities("capabilities: symbol nowhere"),
            "the backend wrong names an artifact_symbol of 9 bytes at no address: tell its author");
  EXPECT_EQ(capabilities("capabilities: symbol huge"),
            "the backend wrong names an artifact_symbol of 1099511627776 bytes: tell its author");
  EXPECT_EQ(capabilities("capabilities: symbol text"),
            "the backend wrong names an artifact_symbol that is none, 'two words': tell its author");
}

TEST_F(Wrong, Errors) {
  EXPECT_EQ(capabilities("error: 77"), "the backend wrong: the code 77, which the interface does not have (the backend "
                                       "says no more)");
  EXPECT_EQ(capabilities("error: -1"), "the backend wrong: the code -1, which the interface does not have (the backend "
                                       "says no more)");
  EXPECT_EQ(capabilities("error: without a word"), "the backend wrong: an internal error (the backend says no more)");
  EXPECT_EQ(capabilities("error: no end"), "the backend wrong: " + std::string(sizeof kiln_error::message, 'x'));
  EXPECT_EQ(capabilities("error: bytes"), "the backend wrong: a \xef\xbf\xbd and a \xef\xbf\xbd[2J");
}

TEST_F(Wrong, Claims) {
  std::string makesNoSense = "the backend wrong gave an answer that makes no sense: ";
  for (auto [way, sentence] :
       {std::pair("claim: no ops", "it took a set of no ops"),
        std::pair("claim: ops nowhere", "it took 3 ops, at no address, of a kernel of 1"),
        std::pair("claim: many ops", "it took 1099511627776 ops of a kernel of 1"),
        std::pair("claim: terms of no size", "its kiln_terms state a size of 0 bytes"),
        std::pair("claim: flags",
                  "in its kiln_terms it sets the flags 0x80000000, which version 1 of the interface does not "
                  "have: tell its author"),
        std::pair("claim: scratch", "it asks for 1152921504606846976 bytes of scratch"),
        std::pair("claim: form", "it names a form of 1099511627776 bytes"),
        std::pair("claim: refused op", "it refused op 7 of a kernel of 1"),
        std::pair("claim: reason nowhere", "it gave a reason of 9 bytes at no address"),
        std::pair("claim: reason huge", "it gave a reason of 1099511627776 bytes"),
        std::pair("claim: many layouts", "it asks for 1000 layouts of a kernel of 1 inputs"),
        std::pair("claim: layouts nowhere", "it asks for 1 layouts, at no address"),
        std::pair("claim: no layout", "layout 0 is none: `size` is to be sizeof(kiln_layout)"),
        std::pair("claim: layout of no size", "layout 0 is none: `size` is to be sizeof(kiln_layout)"),
        std::pair("claim: layout of no input", "its layout of input 9 is for a kernel with more inputs than 1"),
        std::pair("claim: layout of another rank", "its layout of input 0 has 2 axes; the input has 1"),
        std::pair("claim: layout without an order", "its layout of input 0 has 1 axes at no address"),
        std::pair("claim: layout with an axis too many", "its layout of input 0 does not have each axis once"),
        std::pair("claim: both", "it took op 0 and refused it")})
    EXPECT_EQ(claim(way), makesNoSense + sentence);
  EXPECT_EQ(claim("claim: reason bytes"), "");
  EXPECT_EQ(answer_.reason(), "a \xef\xbf\xbd and a \xef\xbf\xbd[2J");
}

TEST_F(Wrong, AnswersThatComeTooLateDoNoHarmAndAreTold) {
  EXPECT_EQ(claim(""), "");
  EXPECT_EQ(claim("claim: late"), "the backend wrong answered a claim or gave an artifact when that call was over");
  EXPECT_TRUE(answer_.parts.empty());
}

TEST_F(Wrong, ArtifactsThatComeTooLateDoNoHarmAndAreTold) {
  EXPECT_EQ(compile(""), "");
  EXPECT_EQ(compile("compile: late"), "the backend wrong answered a claim or gave an artifact when that call was over");
  EXPECT_TRUE(blobs_.empty());
}

TEST_F(Wrong, Artifacts) {
  for (auto [way, sentence] :
       {std::pair("compile: nothing", " gave no artifact, and calls that a success: tell its author"),
        std::pair("compile: object", " gave an object file, where its capabilities name no artifact_symbol: artifacts "
                                     "are bytes then: tell its author"),
        std::pair("compile: symbol, nothing",
                  " gave no object file, which was to define the_symbol, and calls that a success: tell its author"),
        std::pair("compile: symbol, bytes", " gave an artifact of bytes, where its capabilities name an "
                                            "artifact_symbol, the_symbol: artifacts are object files then: tell its "
                                            "author"),
        std::pair("compile: nowhere", ": it gave an artifact of 8 bytes at no address"),
        std::pair("compile: huge", ": it gave an artifact of 18446744073709551615 bytes"),
        std::pair("compile: empty", " gave an artifact of no bytes: tell its author"),
        std::pair("compile: kind", ": it gave an artifact of the unknown kind -3"),
        std::pair("compile: name", ": it gave an artifact with a name of 9 bytes at no address"),
        std::pair("compile: twice", " gave two artifacts of bytes; one is allowed: tell its author")}) {
    EXPECT_EQ(compile(way), std::string("the backend wrong") + sentence);
    EXPECT_TRUE(blobs_.empty());
  }
  target_.emit = {"asm", 3};
  EXPECT_EQ(compile("compile: nothing"),
            "the backend wrong left nothing at the stage 'asm', and calls that a success: tell its author");
}

TEST_F(Wrong, NothingIsEnoughForAProgramWithoutKernels) {
  program_.kernel_count = 0;
  EXPECT_EQ(compile("compile: nothing"), "");
  EXPECT_EQ(compile("compile: empty"), "");
}

TEST_F(Wrong, Tables) {
  for (auto [way, sentence] :
       {std::pair("tables: size", "its kiln_backend states a size of 2 bytes: `size` is to be sizeof(kiln_backend) of "
                                  "the header that it is built with"),
        std::pair("tables: compile size", "its kiln_compile_api states a size of 3735928559 bytes: `size` is to be "
                                          "sizeof(kiln_compile_api) of the header that it is built with"),
        std::pair("tables: title", "it gives a title of 9 bytes at no address: tell its author")}) {
    setenv("KILN_WRONG", way, 1);
    expectError(broken_, sentence);
  }
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
