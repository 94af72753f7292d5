// `kiln export`: what is written is read again by Kiln's own importer, and gives the same results (ONNX Runtime judges
// the same files in tests/bench/peers/onnx_export.py).
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

struct Case {
  const char *name;
  std::string model; ///< below the source folder, or a fixture's name
  std::string function;
  Words options;
};

/// A folder of Hugging Face, and a fixture of models/.
Case folderCase(const char *name, Words options = {}) {
  options.insert(options.end(), {"--set", "batch=3"});
  return {name, std::string("tests/fixtures/huggingface/") + name, "forward", std::move(options)};
}
Case fixtureCase(const char *name, const char *fixture, const char *function = "") {
  return {name, fixture, function, {}};
}

class Export : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    folder_ = freshFolder(std::string("export-") + GetParam().name);
    options_ = GetParam().options;
    function_ = GetParam().function;
    if (GetParam().model.find('/') != std::string::npos) {
      model_ = sourceFolder() + "/" + GetParam().model;
      inputs_ = model_ + "/expected.safetensors";
      return;
    }
    Fixture fixture = Fixture::open(GetParam().model);
    model_ = fixture.source;
    inputs_ = fixture.given;
    options_ = {"--model", fixture.model, "--weights", fixture.folder + "/init.safetensors"};
    for (const auto &[key, value] : fixture.settings)
      options_.insert(options_.end(), {"--set", key + "=" + value});
    function_ = function_.empty() ? fixture.function : function_;
  }

  /// Runs a model's function with those of the inputs that it takes, which `named` holds.
  std::map<std::string, Values> results(const std::string &model, const std::string &function, const Words &options,
                                        const Words &named, const std::string &file) {
    Words command = {kilnProgram(), "run", model, function, "--output", folder_ + "/" + file};
    command.insert(command.end(), options.begin(), options.end());
    for (const std::string &name : named)
      command.insert(command.end(), {"--input", name + "=" + inputs_});
    Outcome ran = run(command);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.code == 0 ? readTensors(folder_ + "/" + file) : std::map<std::string, Values>();
  }

  std::string folder_, model_, inputs_, function_;
  Words options_;
};

/// The inputs that an imported model's forward takes: "    def forward(ids: i32[B, T], mask: bool[B, T]):".
Words inputsOf(const std::string &text) {
  size_t at = text.rfind("def forward(") + 12; // modules have theirs before
  std::string line = text.substr(at, text.find("):", at) - at);
  Words out;
  for (size_t colon; (colon = line.find(": ")) != std::string::npos;) {
    size_t begin = line.find_last_of(", ", colon - 1);
    out.push_back(
        line.substr(begin == std::string::npos ? 0 : begin + 1, colon - (begin == std::string::npos ? 0 : begin + 1)));
    line = line.substr(colon + 2);
  }
  return out;
}

TEST_P(Export, IsReadAgainWithTheSameResults) {
  std::string file = folder_ + "/model.onnx";
  Words command = {kilnProgram(), "export", model_, "--onnx", file, "--function", function_};
  command.insert(command.end(), options_.begin(), options_.end());
  Outcome exported = run(command);
  ASSERT_EQ(exported.code, 0) << exported.err;
  Outcome imported = run({kilnProgram(), "import", file});
  ASSERT_EQ(imported.code, 0) << imported.err;
  Words bounds;
  for (const char *dim : {"B", "N", "T", "S"})
    if (std::string text = imported.out; text.find("[" + std::string(dim)) != std::string::npos ||
                                         text.find(", " + std::string(dim) + "]") != std::string::npos)
      bounds.insert(bounds.end(), {"--bound", std::string(dim) + "=64"});
  Words names = inputsOf(imported.out);
  ASSERT_FALSE(names.empty());
  options_.insert(options_.end(), {"--entry", function_});
  std::map<std::string, Values> own = results(model_, function_, options_, names, "own.safetensors");
  std::map<std::string, Values> again = results(file, "forward", bounds, names, "again.safetensors");
  ASSERT_FALSE(own.empty());
  ASSERT_EQ(own.size(), again.size());
  for (const auto &[name, expected] : own) {
    bool isNumber = name.find_first_not_of("0123456789") == std::string::npos;
    auto found = again.find(own.size() == 1 ? again.begin()->first : isNumber ? "output_" + name : name);
    ASSERT_NE(found, again.end()) << name;
    ASSERT_EQ(found->second.shape, expected.shape) << name;
    double largest = 1e-30;
    for (double value : expected.data)
      largest = std::max(largest, std::abs(value));
    for (size_t i = 0; i < expected.data.size(); ++i)
      ASSERT_NEAR(found->second.data[i], expected.data[i], 1e-5 * largest) << name << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Export,
                         testing::Values(folderCase("bert_classes"), folderCase("gemma2"), folderCase("gemma3"),
                                         folderCase("t5"), folderCase("clip"),
                                         folderCase("resnet", {"--set", "size=32"}), fixtureCase("lstm", "lstm"),
                                         fixtureCase("letters", "letters"), fixtureCase("translate", "translate"),
                                         fixtureCase("resizing", "annex", "resizing"),
                                         fixtureCase("pooling", "annex", "pooling"),
                                         fixtureCase("alignments", "annex", "alignments")),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
} // namespace kiln::test
