// The vocabularies that read texts and write answers: from the weights' file, else from the recipe's data.
#pragma once

#include "runtime/cli/Commands.h"

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

class Words {
public:
  /// `source`: the recipe's data whose words they are; empty: none.
  Words(const Options &options, const Common &common, const Manifest &manifest, const std::string &source);

  /// Null where the data has no words: then numbers are read and written.
  const Vocabulary *prompt() const { return prompt_; }
  const Vocabulary *answer() const { return answer_; }
  /// What stands before a prompt, and behind one that is read as a whole: the special tokens that a model from
  /// elsewhere has around a text.
  const std::vector<int32_t> &lead() const { return lead_; }
  const std::vector<int32_t> &trail() const { return trail_; }

private:
  const Vocabulary *saved(const std::string &source, std::initializer_list<const char *> fields) const;

  void readOwnTokenizer(const Common &common);

  std::map<std::string, Vocabulary> saved_;
  std::vector<int32_t> lead_, trail_;
  std::optional<Vocabulary> tokenizer_;
  std::optional<Sources> sources_;
  const Vocabulary *prompt_ = nullptr, *answer_ = nullptr;
};

} // namespace kiln
