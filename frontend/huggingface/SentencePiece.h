// Marian's words: a SentencePiece file of the language that is read, and a vocabulary of both.
#pragma once

#include "runtime/support/Json.h"

#include <string>
#include <string_view>

namespace kiln::huggingface {

/// The tokenizer.json that gives MarianTokenizer's numbers. `pieces`: source.spm's bytes; `vocabulary`: vocab.json,
/// each token's number. Throws Error, which begins with `what`, for what is damaged or of another kind.
std::string marianTokenizer(std::string_view pieces, const Json &vocabulary, const std::string &what);

} // namespace kiln::huggingface
