// One graph of the fuzzer with all that its run depends on, as text, and the verdict over it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace kiln::test {

struct FuzzCase {
  std::string module; ///< MLIR
  std::map<std::string, int64_t> symbols;
  uint64_t argumentSeed = 0;
  std::string cpu = "native"; ///< the processor to compile for

  /// The module below a comment that says the rest; `parse` reads it back.
  std::string text(const std::string &why) const;
  static FuzzCase parse(const std::string &text);
};

/// The case of a seed. Every second one is of all that the generator knows.
FuzzCase caseOf(uint64_t seed, const std::string &cpu);

/// Compiles and runs the case in this process, as it is and under red zones, and compares both with the interpreter.
/// Empty when all agree; `explain`: with the kernels that it became.
std::string judge(const FuzzCase &fuzzCase, bool explain);

/// What became of a case in a process of its own: empty, or the reason, a signal or "no end after ... seconds".
std::string judgeApart(const FuzzCase &fuzzCase, bool explain);

/// A smaller case that still fails in the way of `why`: fewer results, fewer ops, shorter dimensions.
FuzzCase shrink(const FuzzCase &fuzzCase, const std::string &why);

} // namespace kiln::test
