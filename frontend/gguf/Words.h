// The tokenizer that a GGUF file has in its metadata.
#pragma once

#include "frontend/gguf/Reader.h"
#include "frontend/huggingface/Chat.h"

#include <string>

namespace kiln::gguf {

/// As a tokenizer.json; empty where the file has none. Throws Error: lists that do not fit each other, kinds that are
/// not known.
std::string tokenizerOf(const File &file);

/// Its chat template, and the tokens that this names.
huggingface::ChatTemplate chatOf(const File &file);

} // namespace kiln::gguf
