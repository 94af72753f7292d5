// The vocabularies that read texts and write answers: from the weights' file, else from the recipe's data.
#pragma once

#include "runtime/cli/Commands.h"

#include <initializer_list>
#include <map>
#include <optional>
#include <string>

namespace kiln {

class Words {
public:
  /// `source`: the recipe's data whose words they are; empty: none.
  Words(const Options &options, const Common &common, const Manifest &manifest, const std::string &source);

  /// Null where the data has no words: then numbers are read and written.
  const Vocabulary *prompt() const { return prompt_; }
  const Vocabulary *answer() const { return answer_; }

private:
  const Vocabulary *saved(const std::string &source, std::initializer_list<const char *> fields) const;

  std::map<std::string, Vocabulary> saved_;
  std::optional<Vocabulary> tokenizer_;
  std::optional<Sources> sources_;
  const Vocabulary *prompt_ = nullptr, *answer_ = nullptr;
};

/// The lines of a file that is read, which is protected from being written.
std::vector<std::string> readLines(const std::string &path);

} // namespace kiln
