// docs/tutorial.md from top to bottom: its models written to files, its commands run in a shell.
#include "tests/e2e/Command.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace kiln::test {
namespace {

/// A shell script of the page's `kiln` and `sh` blocks; the models get the names that the page gives them, in order.
std::string script(const std::string &page, std::vector<std::string> names) {
  std::istringstream lines(page);
  std::ostringstream text;
  std::string block;
  size_t models = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("```")) {
      if (block == "sh" || block == "kiln")
        text << line << "\n";
      continue;
    }
    if (block == "kiln")
      text << "END_OF_MODEL\n";
    block = block.empty() ? line.substr(3) : "";
    if (block == "kiln")
      text << "cat > " << (models < names.size() ? names[models] : "unnamed.kiln") << " <<'END_OF_MODEL'\n";
    models += block == "kiln";
  }
  return text.str();
}

TEST(Tutorial, RunsFromTopToBottom) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: there are no digits";
  std::ifstream file(sourceFolder() + "/docs/tutorial.md");
  std::stringstream page;
  page << file.rdbuf();
  std::string folder = freshFolder("tutorial"), path = folder + "/script.sh";
  std::ofstream(path) << "set -e\ncd " << folder << "\nPATH=" << KILN_BINARY_FOLDER << "/bin:$PATH\n"
                      << script(page.str(), {"line.kiln", "digits.kiln"});
  Outcome outcome = run({"/bin/bash", path});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("all gradients agree"), std::string::npos) << outcome.out;
  EXPECT_NE((outcome.out + outcome.err).find("done after 2800 steps"), std::string::npos) << outcome.out << outcome.err;
}

} // namespace
} // namespace kiln::test
