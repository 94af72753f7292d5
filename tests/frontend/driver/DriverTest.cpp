// The driver as a library: diagnostics as data, artifacts as files, nothing printed.
#include "frontend/driver/Compile.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstdlib>
#include <filesystem>

namespace kiln {
namespace {

using ::testing::HasSubstr;

class DriverTest : public ::testing::Test {
protected:
  DriverTest() {
    folder = std::filesystem::temp_directory_path() / ("kiln-driver-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    options.file = "memory.kiln";
  }
  ~DriverTest() override { std::filesystem::remove_all(folder); }

  /// Compiles the text; whatever this process wrote meanwhile is a failure.
  CompileResult compile(const std::string &text, const std::string &output = "program") {
    options.text = text;
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    CompileResult result = compileModel(installation, options, (folder / output).string());
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    return result;
  }

  std::filesystem::path folder;
  Installation installation{KILN_LIBRARIES};
  ModelOptions options;
};

const char *line = "model Line():\n"
                   "    w = Linear(3, 1)\n"
                   "    def forward(x: f32[B <= 4, 3]) -> f32[B, 1]:\n"
                   "        return w(x)\n";

TEST_F(DriverTest, ATextBecomesAProgram) {
  CompileResult result = compile(line);
  EXPECT_TRUE(result.ok);
  for (const driver::Diagnostic &one : result.diagnostics)
    ADD_FAILURE() << one.text;
  EXPECT_EQ(std::system(((folder / "program").string() + " info > /dev/null").c_str()), 0);
}

TEST_F(DriverTest, ALibraryHasItsHeader) {
  EXPECT_TRUE(compile(line, "libline.so").ok);
  EXPECT_TRUE(std::filesystem::exists(folder / "libline.so"));
  EXPECT_TRUE(std::filesystem::exists(folder / "line.h"));
}

// A machine without a compiler: what programs are linked with lies in a folder of its own.
TEST_F(DriverTest, ASysrootIsLinkedFrom) {
  std::filesystem::path root = folder / "root";
  setenv("KILN_SYSROOT", root.c_str(), 1);
  CompileResult without = compile(line);
  ASSERT_EQ(without.diagnostics.size(), 1u);
  EXPECT_THAT(without.diagnostics.front().text, HasSubstr(root.string() + "/usr/lib/gcc"));

  std::filesystem::create_directories(root);
  for (const char *each : {"usr", "lib", "lib64"})
    std::filesystem::create_symlink(std::string("/") + each, root / each);
  CompileResult with = compile(line);
  unsetenv("KILN_SYSROOT");
  EXPECT_TRUE(with.ok);
  for (const driver::Diagnostic &one : with.diagnostics)
    ADD_FAILURE() << one.text;
  EXPECT_EQ(std::system(((folder / "program").string() + " info > /dev/null").c_str()), 0);
}

TEST_F(DriverTest, AnErrorHasItsRange) {
  CompileResult result = compile("model Line():\n"
                                 "    w = Linear(3, 1)\n"
                                 "    def forward(x: f32[B <= 4, 3]) -> f32[B, 1]:\n"
                                 "        return wt(x)\n");
  EXPECT_FALSE(result.ok);
  ASSERT_EQ(result.diagnostics.size(), 1u);
  const driver::Diagnostic &error = result.diagnostics.front();
  EXPECT_EQ(error.severity, driver::Diagnostic::Severity::error);
  EXPECT_EQ(error.at.file, "memory.kiln");
  EXPECT_EQ(error.at.line, 4u);
  EXPECT_EQ(error.at.column, 16u);
  EXPECT_EQ(error.at.endLine, 4u);
  EXPECT_EQ(error.at.endColumn, 18u);
  EXPECT_THAT(error.text, HasSubstr("wt"));
  EXPECT_FALSE(std::filesystem::exists(folder / "program"));
}

TEST_F(DriverTest, TwoErrorsAreTwo) {
  CompileResult result = compile("model Line():\n"
                                 "    def forward(x: f32[4]) -> f32[4]:\n"
                                 "        return first\n"
                                 "    def again(x: f32[4]) -> f32[4]:\n"
                                 "        return second\n");
  ASSERT_EQ(result.diagnostics.size(), 2u);
  EXPECT_EQ(result.diagnostics[0].at.line, 3u);
  EXPECT_EQ(result.diagnostics[1].at.line, 5u);
}

TEST_F(DriverTest, WhatIsNotTheModelsHasNoRange) {
  options.backend = "nosuch";
  CompileResult result = compile(line);
  EXPECT_FALSE(result.ok);
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_EQ(result.diagnostics.front().at.file, "");
  EXPECT_THAT(result.diagnostics.front().text, HasSubstr("nosuch"));
}

TEST_F(DriverTest, EachInstallationHasItsBackends) {
  Installation empty((folder / "nothing").string());
  options.text = line;
  CompileResult result = compileModel(empty, options, (folder / "program").string());
  EXPECT_FALSE(result.ok);
  ASSERT_EQ(result.diagnostics.size(), 1u);
  EXPECT_THAT(result.diagnostics.front().text, HasSubstr("cpu"));
  EXPECT_TRUE(compile(line).ok);
}

} // namespace
} // namespace kiln
