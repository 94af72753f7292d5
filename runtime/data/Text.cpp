// text(path, context, batch, tokens="characters"|"words"|"….json", vocabulary=None): windows of a running text.
#include "runtime/data/Coding.h"
#include "runtime/data/Rows.h"
#include "runtime/data/Sequences.h"
#include "runtime/files/File.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

namespace {

class TextSource final : public Source {
public:
  TextSource(const SourceContext &context);

  int64_t batches(Split split) const override {
    int64_t tokens = static_cast<int64_t>(tokens_[static_cast<size_t>(split)].size());
    if (split == Split::Train)
      return std::max<int64_t>(1, (tokens - 1) / (context_ * batch_));
    int64_t windows = tokens > context_ ? (tokens - 1) / context_ : 0;
    return (windows + batch_ - 1) / batch_;
  }

  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

  const Vocabulary *vocabulary(const std::string &) const override { return &vocabulary_; }
  std::map<std::string, const Vocabulary *> vocabularies() const override { return {{"ids", &vocabulary_}}; }

private:
  void cut(const Json &options, std::vector<int32_t> all, const SourceContext &context);

  int64_t context_, batch_;
  uint32_t seed_, stream_;
  bool shuffle_;
  Vocabulary vocabulary_;
  std::vector<int32_t> tokens_[3];
  std::vector<int32_t> block_;
};

TextSource::TextSource(const SourceContext &context) : Source(*context.spec), seed_(context.seed) {
  const Json &options = spec_.options;
  context_ = options.at("context").integer(1, 1 << 30);
  batch_ = options.at("batch").integer(1, 1 << 30);
  shuffle_ = options.booleanOr("shuffle", true);
  std::string stream = "shuffle:" + spec_.name;
  stream_ = namedStream(stream.data(), stream.size());
  std::string path = findData(context.override.empty() ? spec_.path : context.override,
                              "the text of data '" + spec_.name + "'", context.folders);
  std::string text = readText(path);
  if (text.empty())
    fail("'%s' is empty; data '%s' needs text", path.c_str(), spec_.name.c_str());
  std::string kind = options.stringOr("tokens", "characters");
  const Json *limit = options.find("vocabulary");
  size_t size = limit ? static_cast<size_t>(limit->integer(1, INT32_MAX)) : 0;
  if (kind == "characters") {
    std::optional<Vocabulary> given = givenVocabulary(context, "ids", Vocabulary::Kind::Characters, size, true);
    vocabulary_ = given ? *given : Vocabulary::characters(text, "'" + path + "'");
    if (size != 0 && size != vocabulary_.size())
      fail("'%s' has %zu different characters, the recipe's vocabulary has %zu", path.c_str(), vocabulary_.size(),
           size);
  } else if (kind == "words") {
    std::optional<Vocabulary> given = givenVocabulary(context, "ids", Vocabulary::Kind::Words, size);
    vocabulary_ = given ? *given : Vocabulary::words(text, size);
  } else if (kind.ends_with(".json")) {
    vocabulary_ = openTokenizer(context, kind, "ids");
  } else {
    fail("data '%s': unknown tokens '%s' (characters, words, or a tokenizer's path, which ends in .json)",
         spec_.name.c_str(), kind.c_str());
  }
  cut(options, vocabulary_.encode(text, "'" + path + "'", true), context);
  if (static_cast<int64_t>(tokens_[0].size()) <= context_)
    fail("'%s' has %zu tokens to train on, too few for a context of %lld: at least %lld are needed", path.c_str(),
         tokens_[0].size(), static_cast<long long>(context_), static_cast<long long>(context_ + 1));
  block_.resize(static_cast<size_t>(batch_ * context_));
}

/// Validation is the end of the text, test what comes before it; or files of their own.
void TextSource::cut(const Json &options, std::vector<int32_t> all, const SourceContext &context) {
  int64_t total = static_cast<int64_t>(all.size());
  int64_t validation = static_cast<int64_t>(splitFraction(options, "validation") * static_cast<double>(total));
  int64_t test = static_cast<int64_t>(splitFraction(options, "test") * static_cast<double>(total));
  if (validation + test >= total)
    fail("data '%s': validation and test take all of the text", spec_.name.c_str());
  tokens_[1].assign(all.end() - validation, all.end());
  tokens_[2].assign(all.end() - validation - test, all.end() - validation);
  all.resize(static_cast<size_t>(total - validation - test));
  tokens_[0] = std::move(all);
  for (Split split : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(options, splitName(split))) {
      std::string found = findData(path, "the text of data '" + spec_.name + "'", context.folders);
      std::vector<int32_t> ids = vocabulary_.encode(readText(found), "'" + found + "'", true);
      std::vector<int32_t> &tokens = tokens_[static_cast<size_t>(split)];
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
}

void TextSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  const std::vector<int32_t> &tokens = tokens_[static_cast<size_t>(split)];
  int64_t room = static_cast<int64_t>(tokens.size()) - context_; // where a window may start
  int64_t windows = split == Split::Train || room <= 0 ? 0 : (room + context_ - 1) / context_;
  if (room <= 0 || (split != Split::Train && windows == 0))
    fail("data '%s' has no %s text of at least %lld tokens; give its reader a %s=…", spec_.name.c_str(),
         splitName(split), static_cast<long long>(context_ + 1), splitName(split));
  int64_t count = batch_;
  if (split != Split::Train)
    count = std::min(batch_, windows - number * batch_);
  RandomStream random(seed_, stream_, static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32));
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name != "ids" && name != "next")
      fail("data '%s': a text has the fields ids and next, not '%s'", spec_.name.c_str(), name.c_str());
    int64_t shift = name == "next" ? 1 : 0;
    for (int64_t row = 0; row < count; ++row) {
      int64_t start = (number * batch_ + row) * context_;
      if (split == Split::Train)
        start = shuffle_ ? static_cast<int64_t>(random.below(static_cast<uint64_t>(row), static_cast<uint64_t>(room)))
                         : start % room;
      std::copy_n(tokens.begin() + start + shift, context_, block_.begin() + row * context_);
    }
    int64_t shape[] = {count, context_};
    storeField(*this, f, fields, KILN_I32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openText(const SourceContext &context) { return std::make_unique<TextSource>(context); }

const Reader kiln_reader_text{"text", openText};

} // namespace kiln
