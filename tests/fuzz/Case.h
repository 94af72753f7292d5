// One graph of the fuzzer with all that its run depends on, as text, and the verdict over it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kiln::test {

struct FuzzCase {
  std::string module; ///< MLIR
  std::map<std::string, int64_t> symbols;
  std::vector<std::map<std::string, int64_t>> further; ///< other extents for the same program, one run after another
  uint64_t argumentSeed = 0;
  std::string backend;        ///< "vulkan" or "reference"; else the cpu's
  std::string cpu = "native"; ///< the processor to compile for
  std::string math;           ///< "fast", or the definitions' own sums
  std::string compute;        ///< as `--compute`
  int64_t blockRows = 0;      ///< as `--block-rows`
  int64_t shards = 0;         ///< as `--shards`, of the rows along N
  uint64_t weights = 0;       ///< what the forms follow from that matrices are stored in (Stored.h); 0: as declared

  /// The module below a comment that says the rest; `parse` reads it back.
  std::string text(const std::string &why) const;
  static FuzzCase parse(const std::string &text);
};

/// Whether a seed is of layers: two of three.
inline bool hasLayers(uint64_t seed) { return seed % 3 != 0; }
/// Whether its forms are drawn: where it is of layers, and of every other one of the rest.
inline bool drawsForms(uint64_t seed) { return seed % 6 != 0; }

/// The case of a seed. Every second one is of all that the generator knows.
FuzzCase caseOf(uint64_t seed, const std::string &cpu);

/// Compiles and runs the case in this process, as it is and under red zones, and compares both with the interpreter.
/// Empty when all agree; `explain`: with the kernels that it became.
std::string judge(const FuzzCase &fuzzCase, bool explain);

/// The kernels that a case becomes, with their forms.
std::string fusionOf(const FuzzCase &fuzzCase);

/// What became of a case in a process of its own: empty, or the reason, a signal or "no end after ... seconds".
std::string judgeApart(const FuzzCase &fuzzCase, bool explain);

/// A smaller case that still fails in the way of `why`: fewer results, fewer ops, shorter dimensions.
FuzzCase shrink(const FuzzCase &fuzzCase, const std::string &why);

} // namespace kiln::test
