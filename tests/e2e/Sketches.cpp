// docs/language-sketches.md: every model of it becomes a program, and the gradients of those with a recipe agree with
// finite differences.
#include "tests/e2e/Command.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>

namespace kiln::test {
namespace {

struct Sketch {
  std::string file, model;
  bool trains = false;
};

std::vector<Sketch> sketches() {
  std::ifstream page(sourceFolder() + "/docs/language-sketches.md");
  std::string folder = freshFolder("sketches"), text;
  std::vector<Sketch> result;
  bool inside = false;
  int blocks = 0;
  for (std::string line; std::getline(page, line);) {
    if (!inside && line == "```kiln") {
      inside = true;
      text.clear();
    } else if (inside && line == "```") {
      inside = false;
      std::string file = folder + "/" + std::to_string(++blocks) + ".kiln";
      std::ofstream(file) << text;
      std::regex header("(^|\n)model +([A-Za-z0-9_]+)");
      for (std::sregex_iterator it(text.begin(), text.end(), header), end; it != end; ++it)
        result.push_back({file, (*it)[2], text.find("\ntrain " + (*it)[2].str() + ":") != std::string::npos});
    } else if (inside) {
      text += line + "\n";
    }
  }
  return result;
}

TEST(Sketches, AreCompiled) {
  std::vector<Sketch> all = sketches();
  EXPECT_GE(all.size(), 30u);
  for (const Sketch &sketch : all) {
    Outcome built = run({kilnProgram(), "build", sketch.file, "--model", sketch.model, "-o", sketch.file + ".program"});
    EXPECT_EQ(built.code, 0) << sketch.file << " " << sketch.model << "\n" << built.err;
  }
}

TEST(Sketches, HaveRightGradients) {
  for (const Sketch &sketch : sketches()) {
    // Most of a minute each in the interpreter: vocabularies of thousands.
    static const std::set<std::string> slowOnes = {"BERT", "FineTuned"};
    bool slow = slowOnes.contains(sketch.model);
    if (!sketch.trains || (slow && !std::getenv("KILN_LONG")))
      continue;
    Outcome checked = run({kilnProgram(), "check", sketch.file, "--model", sketch.model, "--gradients"});
    EXPECT_EQ(checked.code, 0) << sketch.file << " " << sketch.model << "\n" << checked.out << checked.err;
  }
}

} // namespace
} // namespace kiln::test
