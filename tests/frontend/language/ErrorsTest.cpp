// Each errors/NAME.kiln fails to load, with exactly the text of errors/NAME.txt. KILN_UPDATE=1 in the environment
// writes the texts anew. A first line `# set: a=1`, `# bound: T=3` or `# model: NAME` gives options.
#include "frontend/language/Load.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

namespace fs = std::filesystem;

std::string readFile(const fs::path &path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

kiln::LoadOptions optionsOf(const std::string &text) {
  kiln::LoadOptions options;
  std::istringstream line(text.substr(0, text.find('\n')));
  std::string hash, kind, setting;
  line >> hash >> kind >> setting;
  size_t equals = setting.find('=');
  if (hash != "#")
    return options;
  if (kind == "set:")
    options.set.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  if (kind == "bound:")
    options.bounds[setting.substr(0, equals)] = std::stoll(setting.substr(equals + 1));
  if (kind == "model:")
    options.model = setting;
  return options;
}

std::vector<std::string> caseNames() {
  std::vector<std::string> names;
  for (const auto &entry : fs::directory_iterator(KILN_LANGUAGE_TESTS "/errors"))
    if (entry.path().extension() == ".kiln")
      names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class Errors : public testing::TestWithParam<std::string> {};

TEST_P(Errors, HaveTheirExactText) {
  fs::path base = fs::path(KILN_LANGUAGE_TESTS "/errors") / GetParam();
  std::string source = readFile(fs::path(base).replace_extension(".kiln"));
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      kiln::loadModelText(context, source, GetParam() + ".kiln", optionsOf(source), diagnostics);
  EXPECT_FALSE(module) << "it loads";
  std::string found = diagnostics.render();
  EXPECT_FALSE(found.empty());
  fs::path expectedPath = fs::path(base).replace_extension(".txt");
  if (std::getenv("KILN_UPDATE"))
    std::ofstream(expectedPath, std::ios::binary) << found;
  EXPECT_EQ(readFile(expectedPath), found);
}

INSTANTIATE_TEST_SUITE_P(Language, Errors, testing::ValuesIn(caseNames()),
                         [](const testing::TestParamInfo<std::string> &info) { return info.param; });

TEST(Source, OffsetsAreWhereColumnsTell) {
  kiln::language::SourceFile file("m.kiln", "x = \"äé漢🙂\" + y\r\n\nz");
  for (uint32_t offset : {0U, 5U, 7U, 9U, 12U, 16U, 20U, 24U})
    EXPECT_EQ(file.offset(file.line(offset), file.column(offset)), offset);
  EXPECT_EQ(file.offset(1, 99), 21U); // the line's end
  EXPECT_EQ(file.offset(2, 1), 23U);
}

} // namespace
