// Which of the runtime's object files have code in programs of several kinds, by the linker's map: what a program has
// no use for is not in it.
#include "tests/e2e/Command.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace kiln {
namespace {

/// By "archive/file", the bytes of its code that a program holds, and the largest section.
struct Held {
  size_t bytes = 0, most = 0;
  std::string section;
};
using Parts = std::map<std::string, Held>;

/// Of the archives that `kiln build` links: "VMA LMA Size Align   …/libkiln_program.a(File.cpp.o):(.text.name)". What
/// the standard library makes of a template lies in the first file that has it, and says nothing.
Parts partsIn(const std::string &map) {
  static const std::regex line(
      R"( *[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]+) +\d+ {9}.*/libkiln_(\w+)\.a\((.+)\.o\):\((\.text.*)\))");
  static const std::regex standard(R"(\.text\.(unlikely\.)?_Z+N?K?(St|9__gnu_cxx).*)");
  Parts parts;
  std::ifstream file(map);
  std::smatch found;
  for (std::string text; std::getline(file, text);) {
    if (!std::regex_match(text, found, line))
      continue;
    size_t bytes = std::stoul(found[1].str(), nullptr, 16);
    std::string section = found[4].str();
    if (bytes == 0 || std::regex_match(section, standard))
      continue;
    Held &held = parts[found[2].str() + "/" + found[3].str()];
    held.bytes += bytes;
    if (bytes > held.most)
      held.most = bytes, held.section = section;
  }
  return parts;
}

/// What a model is built as: `kind` is its name in parts.golden.
struct Built {
  const char *kind, *model;
  std::vector<std::string> options;
  const char *ending = "";
};

const std::vector<Built> &programs() {
  static const std::vector<Built> list = {{"iris", "iris", {"--model", "MLP"}},
                                          {"gpt", "gpt", {}},
                                          {"texts", "sentiment", {}},
                                          {"library", "gpt", {"--emit", "shared"}, ".so"},
                                          {"vulkan", "gpt", {"--backend", "vulkan"}}};
  return list;
}

/// By "archive/file", the kinds of programs that hold it.
using Kinds = std::map<std::string, std::set<std::string>>;

Kinds readGolden(const std::string &path) {
  Kinds kinds;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    std::istringstream words(text);
    std::string part, kind;
    if (text.starts_with("#") || !(words >> part))
      continue;
    for (std::set<std::string> &list = kinds[part]; words >> kind;)
      list.insert(kind);
  }
  return kinds;
}

void writeGolden(const std::string &path, const Kinds &kinds) {
  std::ofstream file(path);
  file << "# The runtime's object files, and the programs that have code of them (PartsTest.cpp); written by\n"
          "# KILN_WRITE_PARTS=1 build/bin/runtime_models_test --gtest_filter='Parts.*'\n";
  for (const auto &[part, list] : kinds) {
    file << part;
    for (const std::string &kind : list)
      file << " " << kind;
    file << "\n";
  }
}

/// Builds it with a map.
Parts partsOf(const Built &one, const std::string &folder) {
  std::string program = folder + "/" + one.kind + one.ending, map = folder + "/" + one.kind + ".map";
  std::vector<std::string> command = {test::kilnProgram(), "build",
                                      test::sourceFolder() + "/models/" + one.model + "/" + one.model + ".kiln", "-o",
                                      program};
  command.insert(command.end(), one.options.begin(), one.options.end());
  setenv("KILN_LINK_MAP", map.c_str(), 1);
  test::Outcome outcome = test::run(command);
  unsetenv("KILN_LINK_MAP");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return partsIn(map);
}

/// Which is linked once more.
TEST(Parts, TheMapIsOfAKeptProgramToo) {
  for (const char *folder : {"runtime_parts_first", "runtime_parts_again"})
    EXPECT_FALSE(partsOf(programs()[0], test::freshFolder(folder)).empty()) << folder;
}

TEST(Parts, ProgramsHoldWhatTheyUse) {
  std::string folder = test::freshFolder("runtime_parts"),
              golden = test::sourceFolder() + "/tests/runtime/parts.golden";
  Kinds expected = readGolden(golden), seen;
  for (const Built &one : programs()) {
    Parts parts = partsOf(one, folder);
    ASSERT_GT(parts.size(), 20u) << one.kind << ": the linker's map is another than is read here";
    for (const auto &[part, held] : parts) {
      seen[part].insert(one.kind);
      EXPECT_TRUE(expected[part].contains(one.kind))
          << part << " has " << held.bytes << " bytes of code in the program '" << one.kind << "', most in "
          << held.section << "; if that has a use for it, say so in " << golden;
    }
    for (const auto &[part, kinds] : expected)
      EXPECT_TRUE(!kinds.contains(one.kind) || parts.contains(part))
          << part << " has no code in the program '" << one.kind << "' any more: take that out of " << golden;
  }
  if (std::getenv("KILN_WRITE_PARTS"))
    writeGolden(golden, seen);
}

} // namespace
} // namespace kiln
