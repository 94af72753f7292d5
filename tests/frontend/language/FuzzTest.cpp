// Whatever the text, loading ends with a module or with errors. With -DKILN_LIBFUZZER this is a libFuzzer target; else
// it is a test that mutates the files of this folder from fixed seeds: language_fuzz_test [SEED [COUNT]] runs others.
#include "frontend/language/Load.h"

#include "mlir/IR/MLIRContext.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace {

bool holds(const std::string &text) {
  mlir::MLIRContext context;
  kiln::Diagnostics diagnostics;
  kiln::LoadOptions options;
  mlir::OwningOpRef<mlir::ModuleOp> module = kiln::loadModelText(context, text, "fuzz.kiln", options, diagnostics);
  std::string rendered = diagnostics.render();
  // At a line's beginning: the text itself, which errors quote, may hold these words.
  if (("\n" + rendered).find("\nerror: internal error") != std::string::npos) {
    std::fprintf(stderr, "%s", rendered.c_str());
    return false;
  }
  // One of the two, never neither and never both.
  return static_cast<bool>(module) == rendered.empty();
}

} // namespace

#ifdef KILN_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!holds(std::string(reinterpret_cast<const char *>(data), size)))
    std::abort();
  return 0;
}

#else

namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus() {
  std::vector<std::string> files;
  for (const char *folder : {"/errors", "/samples"})
    for (const auto &entry : fs::directory_iterator(std::string(KILN_LANGUAGE_TESTS) + folder))
      if (entry.path().extension() == ".kiln") {
        std::ifstream stream(entry.path(), std::ios::binary);
        std::stringstream text;
        text << stream.rdbuf();
        files.push_back(text.str());
      }
  // The order of a folder's listing is not fixed.
  std::sort(files.begin(), files.end());
  return files;
}

/// Deletes, repeats, swaps, inserts or splices a few pieces.
std::string mutate(std::string text, const std::vector<std::string> &files, std::mt19937 &random) {
  auto below = [&](size_t n) { return n == 0 ? 0 : std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  static const char *const pieces[] = {"(",         ")",
                                       "[",         "]",
                                       ":",         "\n",
                                       "    ",      ",",
                                       "=",         "*",
                                       "-1",        "0",
                                       "1e9",       "if ",
                                       "for ",      " in ",
                                       "scan ",     "yield ",
                                       "return",    "None",
                                       "T",         "B",
                                       "f32[",      "...",
                                       "\t",        "\r\n",
                                       "\"",        "\xff",
                                       "x",         "@",
                                       ".T",        "softmax(",
                                       "state",     "train ",
                                       "<= ",       "9223372036854775807",
                                       "carrying ", "def ",
                                       "model ",    "grad",
                                       "zeros(",    "range(",
                                       "//",        "%",
                                       "frozen(",   "while ",
                                       " at most ", "else:",
                                       "elif ",     " if x[0] > 0.0 else "};
  for (size_t rounds = 1 + below(4); rounds > 0; --rounds) {
    size_t at = below(text.size() + 1), length = below(std::min<size_t>(text.size() - at, 40) + 1);
    switch (below(5)) {
    case 0:
      text.erase(at, length);
      break;
    case 1:
      text.insert(at, text.substr(below(text.size() + 1), 40));
      break;
    case 2:
      text.insert(at, pieces[below(std::size(pieces))]);
      break;
    case 3:
      text.replace(at, length, pieces[below(std::size(pieces))]);
      break;
    default: {
      const std::string &other = files[below(files.size())];
      text.insert(at, other.substr(below(other.size() + 1), 120));
      break;
    }
    }
  }
  return text;
}

} // namespace

int main(int argc, char **argv) {
  unsigned seed = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
  int count = argc > 2 ? std::atoi(argv[2]) : 1500;
  std::vector<std::string> files = corpus();
  for (int i = 0; i < count; ++i) {
    std::mt19937 random(seed * 1000003u + static_cast<unsigned>(i));
    std::string text = mutate(files[random() % files.size()], files, random);
    if (std::getenv("KILN_FUZZ_KEEP")) // the text of a crash stays behind
      std::ofstream(std::getenv("KILN_FUZZ_KEEP"), std::ios::binary) << text;
    if (holds(text))
      continue;
    std::fprintf(stderr, "seed %u, text %d fails:\n%s\n", seed, i, text.c_str());
    return 1;
  }
  std::printf("%d texts, seed %u\n", count, seed);
  return 0;
}

#endif
