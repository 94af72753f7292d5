// Tokens, scores and merges as a tokenizer.json has them.
#include "frontend/gguf/Words.h"

namespace kiln::gguf {

std::string tokenizerOf(const File &file) { return ""; }

} // namespace kiln::gguf
