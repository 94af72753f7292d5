// Damaged ONNX files through the reader and the importer: a sentence, or a text, and nothing else.
#include "frontend/onnx/Import.h"
#include "runtime/support/Error.h"
#include "tests/frontend/onnx/Proto.h"
#include "tests/fuzz/Harness.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln {
namespace {

void parse(std::string_view bytes) {
  onnx::Model model = onnx::Model::parse(bytes, "");
  // Half of them to be trained, and those that are read in no other way.
  bool train = bytes.size() % 2 == 1 || bytes.find("training_mode") != std::string_view::npos;
  onnx::Imported imported = onnx::importModel(model, {"Model", {}, {}, train});
  if (!imported.problems.empty())
    throw Error(imported.problems[0]);
  uint8_t sum = 0;
  for (const TensorView &tensor : imported.weights) // every byte that it says is there
    for (size_t i = 0; i < tensor.bytes; ++i)
      sum ^= tensor.data[i];
  if (sum == 255) // or the reading above is dropped
    std::printf(" ");
}

/// The reader alone, which is a thousand times faster.
void read(std::string_view bytes) { onnx::Model::parse(bytes, ""); }

} // namespace

const std::vector<testing::Parser> &testing::parsers() {
  static const auto *all = [] {
    auto *list = new std::vector<Parser>();
    std::vector<std::string> paths;
    for (const char *folder : {KILN_SOURCE "/tests/fixtures/onnx", KILN_SOURCE "/tests/fixtures/onnx_training"})
      for (const auto &entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".onnx" && entry.file_size() < 50000)
          paths.push_back(entry.path().string());
    std::sort(paths.begin(), paths.end());
    for (const std::string &path : paths) {
      std::ifstream file(path, std::ios::binary);
      std::ostringstream text;
      text << file.rdbuf();
      list->push_back({text.str(), parse});
      list->push_back({text.str(), read});
    }
    return list;
  }();
  return *all;
}

} // namespace kiln
