// Parsers of bytes from strangers, fed with damaged ones. A program links Harness.cpp and says what its parsers are.
// Built plainly it is a test that damages its own seeds: PROGRAM [SEED [COUNT]]. In the fuzz preset it is a libFuzzer
// target, whose inputs' first byte chooses the parser; with KILN_FUZZ_SEEDS=FOLDER it leaves its seeds there to begin
// with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::testing {

struct Parser {
  /// That it reads.
  std::string seed;
  /// Throws kiln::Error, with a sentence, for what it does not; anything else that it does is a finding.
  void (*parse)(std::string_view bytes);
  /// Puts lengths and checksums right again after damage, so that more than these is tried; null: there are none.
  void (*repair)(std::string &bytes) = nullptr;
};

/// The program's own.
const std::vector<Parser> &parsers();

} // namespace kiln::testing
