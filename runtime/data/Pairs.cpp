// pairs(source, target, batch, source_words, target_words, max_length, bucket=None): parallel sentences, one a line.
#include "runtime/data/Buckets.h"
#include "runtime/data/Coding.h"
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <list>
#include <memory>
#include <optional>
#include <span>

namespace kiln {

namespace {

class PairSource final : public Source {
public:
  PairSource(const SourceContext &context);

  int64_t batches(Split split) const override {
    int64_t rows = static_cast<int64_t>(pairs_[static_cast<size_t>(split)].size());
    return split == Split::Train ? rows / batch_ : (rows + batch_ - 1) / batch_;
  }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

  const Vocabulary *vocabulary(const std::string &field) const override {
    return field == "source" ? &sourceWords_ : &targetWords_;
  }
  std::map<std::string, const Vocabulary *> vocabularies() const override {
    return {{"source", &sourceWords_}, {"target", &targetWords_}};
  }

private:
  /// Numbers of words, in one of numbers_.
  struct Pair {
    std::span<const int32_t> source, target;
  };
  /// Two texts and their words, line by line.
  struct Texts {
    std::string source, target;
    WordList sourceWords, targetWords;
  };
  std::unique_ptr<Texts> read(const std::string &source, const std::string &target, const SourceContext &context) const;
  std::vector<Pair> pairUp(const Texts &texts, const std::string &what, bool dropLong);

  int64_t batch_, maxLength_;
  Vocabulary sourceWords_, targetWords_;
  std::list<std::vector<int32_t>> numbers_; // of whole texts; pairs point into them
  std::vector<Pair> pairs_[3];
  std::optional<Buckets> buckets_;
  std::vector<int32_t> block_;
  std::vector<const Pair *> batchRows_;
};

std::unique_ptr<PairSource::Texts> PairSource::read(const std::string &source, const std::string &target,
                                                    const SourceContext &context) const {
  std::string first = findData(source, "the source text of data '" + spec_.name + "'", context.folders);
  std::string second = findData(target, "the target text of data '" + spec_.name + "'", context.folders);
  // Not to be moved: its words are views into its texts.
  auto texts = std::make_unique<Texts>();
  texts->source = readText(first);
  texts->target = readText(second);
  for (const auto &[path, text] : {std::pair(&first, &texts->source), std::pair(&second, &texts->target)})
    if (text->empty())
      fail("'%s' is empty; data '%s' needs one sentence a line", path->c_str(), spec_.name.c_str());
  texts->sourceWords = WordList::cut(texts->source);
  texts->targetWords = WordList::cut(texts->target);
  size_t lines = texts->sourceWords.lineEnds.size(), others = texts->targetWords.lineEnds.size();
  if (lines != others)
    fail("'%s' has %zu lines, '%s' has %zu: they must go in pairs", first.c_str(), lines, second.c_str(), others);
  return texts;
}

PairSource::PairSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  batch_ = options.at("batch").integer(1, INT32_MAX);
  maxLength_ = options.at("max_length").integer(2, INT32_MAX);
  std::string source = options.stringOr("source", spec_.path), target = options.stringOr("target", "");
  if (size_t comma = context.override.find(','); comma != std::string::npos) {
    source = context.override.substr(0, comma);
    target = context.override.substr(comma + 1);
  } else if (!context.override.empty()) {
    fail("--data %s=%s: two paths are needed, SOURCE,TARGET", spec_.name.c_str(), context.override.c_str());
  }
  std::unique_ptr<Texts> main = read(source, target, context);
  auto vocabulary = [&](const std::string &field, const WordList &words) {
    auto limit = [&](const std::string &key) { return static_cast<size_t>(options.integerOr(key.c_str(), 0)); };
    size_t most = limit(field + "_words");
    std::optional<Vocabulary> given = givenVocabulary(context, field, Vocabulary::Kind::Words, most);
    return given ? *given : Vocabulary::words(words, most, limit("min_count"));
  };
  sourceWords_ = vocabulary("source", main->sourceWords);
  targetWords_ = vocabulary("target", main->targetWords);
  std::vector<Pair> all = pairUp(*main, "'" + source + "'", true);
  for (Split split : {Split::Validation, Split::Test}) {
    std::vector<std::string> paths = splitPaths(options, splitName(split));
    if (paths.empty())
      continue;
    if (paths.size() != 2)
      fail("data '%s': %s needs two paths, source and target", spec_.name.c_str(), splitName(split));
    pairs_[static_cast<size_t>(split)] = pairUp(*read(paths[0], paths[1], context), "'" + paths[0] + "'", false);
  }
  Rows::Options rows(spec_, context.seed);
  Rows parts(static_cast<int64_t>(all.size()), rows);
  for (Split split : {Split::Train, Split::Validation, Split::Test})
    for (int32_t row : parts.members(split))
      pairs_[static_cast<size_t>(split)].push_back(all[static_cast<size_t>(row)]);
  for (Split split : {Split::Validation, Split::Test}) // like lengths together: less padding
    std::sort(pairs_[static_cast<size_t>(split)].begin(), pairs_[static_cast<size_t>(split)].end(),
              [](const Pair &a, const Pair &b) {
                if (a.source.size() != b.source.size())
                  return a.source.size() < b.source.size();
                if (a.target.size() != b.target.size())
                  return a.target.size() < b.target.size();
                return std::lexicographical_compare(a.source.begin(), a.source.end(), b.source.begin(), b.source.end());
              });
  buckets_.emplace(Buckets::Options{pairs_[0].size(), batch_, options.integerOr("bucket", 50),
                                    options.booleanOr("shuffle", true), context.seed, spec_.name},
                   [this](int32_t row) {
                     const Pair &pair = pairs_[0][static_cast<size_t>(row)];
                     return std::pair(pair.source.size(), pair.target.size());
                   });
  block_.resize(static_cast<size_t>(batch_ * maxLength_));
}

/// Sentences longer than max_length are left out of training, and cut short elsewhere.
std::vector<PairSource::Pair> PairSource::pairUp(const Texts &texts, const std::string &what, bool dropLong) {
  const std::vector<int32_t> &source = numbers_.emplace_back(sourceWords_.encode(texts.sourceWords));
  const std::vector<int32_t> &target = numbers_.emplace_back(targetWords_.encode(texts.targetWords));
  size_t longest = static_cast<size_t>(maxLength_), left = 0, lines = texts.sourceWords.lineEnds.size();
  auto line = [](const std::vector<int32_t> &numbers, const WordList &words, size_t number) {
    size_t begin = number ? words.lineEnds[number - 1] : 0;
    return std::span(numbers).subspan(begin, words.lineEnds[number] - begin);
  };
  std::vector<Pair> pairs;
  pairs.reserve(lines);
  for (size_t i = 0; i < lines; ++i) {
    Pair pair{line(source, texts.sourceWords, i), line(target, texts.targetWords, i)};
    // The target stands with one more token: START before it, END behind.
    bool tooLong = pair.source.size() > longest || pair.target.size() + 1 > longest;
    if (tooLong && !dropLong) {
      pair.source = pair.source.first(std::min(pair.source.size(), longest));
      pair.target = pair.target.first(std::min(pair.target.size(), longest - 1));
    }
    if (pair.source.empty() || (tooLong && dropLong))
      ++left;
    else
      pairs.push_back(pair);
  }
  if (pairs.empty())
    fail("%s: none of its %zu sentence pairs is usable with max_length=%lld", what.c_str(), left,
         static_cast<long long>(maxLength_));
  return pairs;
}

void PairSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  const std::vector<Pair> &pairs = pairs_[static_cast<size_t>(split)];
  int64_t perEpoch = batches(split);
  if (perEpoch == 0)
    fail("data '%s' has no %s pairs; give its reader %s=(SOURCE, TARGET) or a fraction", spec_.name.c_str(),
         splitName(split), splitName(split));
  std::vector<const Pair *> &rows = batchRows_;
  rows.clear();
  int64_t begin = number % perEpoch * batch_, end = std::min(begin + batch_, static_cast<int64_t>(pairs.size()));
  if (split == Split::Train)
    for (int32_t row : buckets_->batch(number))
      rows.push_back(&pairs[static_cast<size_t>(row)]);
  else
    for (int64_t i = begin; i < end; ++i)
      rows.push_back(&pairs[static_cast<size_t>(i)]);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    bool source = name == "source", next = name == "next";
    if (!source && !next && name != "target")
      fail("data '%s': pairs have the fields source, target and next, not '%s'", spec_.name.c_str(), name.c_str());
    size_t length = 1;
    for (const Pair *pair : rows)
      length = std::max(length, source ? pair->source.size() : pair->target.size() + 1);
    std::fill(block_.begin(), block_.end(), PadToken);
    for (size_t i = 0; i < rows.size(); ++i) {
      int32_t *row = block_.data() + i * length;
      std::span<const int32_t> words = source ? rows[i]->source : rows[i]->target;
      if (!source && !next)
        *row++ = StartToken;
      row = std::copy(words.begin(), words.end(), row);
      if (next)
        *row = EndToken;
    }
    int64_t shape[] = {static_cast<int64_t>(rows.size()), static_cast<int64_t>(length)};
    storeField(*this, f, fields, KILN_I32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openPairs(const SourceContext &context) { return std::make_unique<PairSource>(context); }

const Reader kiln_reader_pairs{"pairs", openPairs};

} // namespace kiln
