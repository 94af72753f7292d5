// BLEU-4 of a corpus (Papineni et al. 2002), one reference a sentence.
#pragma once

#include <string>
#include <vector>

namespace kiln {

/// 0 to 100. Tokens between white space; no smoothing: a corpus without a common 4-gram has 0.
double bleu(const std::vector<std::string> &candidates, const std::vector<std::string> &references);

} // namespace kiln
