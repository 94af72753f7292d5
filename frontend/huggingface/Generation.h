// What a model's files say of its answers (generation_config.json, or config.json as older ones have it) as its text's
// `generate` block says it.
#pragma once

#include "frontend/huggingface/Folder.h"
#include "runtime/support/Json.h"

namespace kiln::huggingface {

/// Beams, rules of answers and a penalty of repetition go into the text; what a block has no word for is a note.
/// `what`: the file.
void takeGeneration(const Json &generation, const std::string &what, Imported &imported);

} // namespace kiln::huggingface
