// A chat template (Jinja, as tokenizer_config.json and GGUF files have it) as the texts of turns.
#pragma once

#include "runtime/text/Turns.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln::huggingface {

struct ChatTemplate {
  std::string text;                          ///< empty: there is none
  std::map<std::string, std::string> tokens; ///< "bos_token" and its like, which templates name
};

/// The texts that say what the template does: found in what it makes of a few conversations, and compared with what it
/// makes of further ones. Null where no such texts do, or the template is damaged; `why` then says what is in the way.
/// `notes`: what of it they leave out.
std::optional<ChatTexts> turnsOf(const ChatTemplate &chat, std::string &why, std::vector<std::string> &notes);

/// The model's text with a `chat` block in its `generate` block; as it was where that has no `generate` block, or the
/// template is not understood, which `notes` then tell.
std::string withChat(std::string text, const std::string &model, const ChatTemplate &chat,
                     std::vector<std::string> &notes);

} // namespace kiln::huggingface
