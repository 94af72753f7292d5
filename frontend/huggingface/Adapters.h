// `kiln import --lora RANK`: low-rank adapters (Hu et al., 2021) in the text of a model of Hugging Face.
#pragma once

#include "frontend/huggingface/Folder.h"

namespace kiln::huggingface {

/// Puts LoRA(…, rank, alpha=2 * rank) around the projections that PEFT adapts where it is not told which: queries and
/// values, or what makes them; and notes what their weights are called then. Throws Error where the text has none.
void addAdapters(Imported &imported, int64_t rank);

/// Where some of the tensors are in blocks: all get the names that the text has for them with its adapters, so that no
/// rules are needed to load them. False, and nothing is done, where none is.
bool nameInBlocks(Imported &imported);

} // namespace kiln::huggingface
