// corrupted(path, batch, max_length, share=0.15, span=3.0, …): text with pieces cut out, as T5 learns from: each piece
// is a sentinel in what is read, and stands behind its sentinel in what is to be written.
#include "runtime/data/Buckets.h"
#include "runtime/data/Rows.h"
#include "runtime/data/Sequences.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

class CorruptedSource final : public Source {
public:
  CorruptedSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;
  const Vocabulary *vocabulary(const std::string &) const override { return &vocabulary_; }
  std::map<std::string, const Vocabulary *> vocabularies() const override { return {{"ids", &vocabulary_}}; }

private:
  /// A window's pieces: kept, cut, kept, cut, …; their lengths.
  struct Pieces {
    size_t cut = 0, count = 0; // tokens cut, and in how many pieces
  };
  Pieces pieces(size_t length) const;
  void findSentinels();
  int64_t addWindows(const std::vector<std::string> &texts);
  void corrupt(std::span<const int32_t> window, RandomStream &random, uint64_t &draws);
  void parts(size_t total, size_t count, RandomStream &random, uint64_t &draws, std::vector<size_t> &sizes) const;

  Vocabulary vocabulary_;
  size_t longest_;
  double share_, span_;
  uint32_t seed_, stream_;
  int32_t end_ = -1;               // behind both texts; -1 for none
  std::vector<int32_t> sentinels_; // <extra_id_0>, …
  std::vector<int32_t> ids_;       // of all windows
  std::vector<size_t> ends_;
  std::optional<RowsByLength> rows_;
  std::vector<size_t> kept_, cut_;
  // The batch: what is read and written, row behind row.
  std::vector<int32_t> source_, written_, block_;
  std::vector<int8_t> types_;
  std::vector<size_t> sourceEnds_, writtenEnds_;
  std::optional<SequenceBlock> sources_;
};

CorruptedSource::CorruptedSource(const SourceContext &context)
    : Source(*context.spec), longest_(static_cast<size_t>(spec_.options.at("max_length").integer(2, INT32_MAX))),
      share_(spec_.options.numberOr("share", 0.15)), span_(spec_.options.numberOr("span", 3.0)), seed_(context.seed) {
  std::string stream = "spans:" + spec_.name;
  stream_ = namedStream(stream.data(), stream.size());
  std::vector<std::string> lines = readParagraphs(context.override.empty() ? spec_.path : context.override, context);
  vocabulary_ = chooseVocabulary(context, lines);
  findSentinels();
  int64_t main = addWindows(lines);
  Rows::Options rows(spec_, context.seed);
  for (Split part : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(spec_.options, splitName(part)))
      (part == Split::Test ? rows.testRows : rows.validationRows) += addWindows(readParagraphs(path, context));
  auto length = [this](size_t row) { return ends_[row] - (row ? ends_[row - 1] : 0); };
  rows_.emplace(Rows(main, rows), rows, 1, length);
  size_t batch = static_cast<size_t>(rows.batch);
  sources_.emplace(batch, longest_, vocabulary_.pad(), spec_.options.stringOr("padding", "longest") == "max_length");
  source_.reserve(batch * longest_);
  written_.reserve(batch * (longest_ + 1));
  block_.resize(batch * (longest_ + 1));
  types_.resize(longest_);
}

/// A tokenizer's own; there have to be as many as a window has pieces.
void CorruptedSource::findSentinels() {
  const Tokenizer *tokenizer = vocabulary_.tokenizer();
  if (!tokenizer)
    fail("data '%s': corrupted(…) needs a tokenizer with <extra_id_0>, <extra_id_1>, … to stand for what is cut out: "
         "tokens=\"….json\"",
         spec_.name.c_str());
  end_ = tokenizer->end();
  while (true) {
    int32_t id = tokenizer->find("<extra_id_" + std::to_string(sentinels_.size()) + ">");
    if (id < 0)
      break;
    sentinels_.push_back(id);
  }
  size_t needed = pieces(longest_ - (end_ >= 0 ? 1 : 0)).count;
  if (sentinels_.size() < needed)
    fail(
        "data '%s': windows of %zu tokens lose up to %zu pieces, and the tokenizer has %zu of <extra_id_0>, …; give it "
        "more of them, or make windows shorter or pieces longer",
        spec_.name.c_str(), longest_, needed, sentinels_.size());
}

/// As T5's: a share of the tokens, in pieces of `span` in the mean, one token at least kept before each.
CorruptedSource::Pieces CorruptedSource::pieces(size_t length) const {
  Pieces found;
  if (length < 2)
    return found;
  double wanted = std::round(static_cast<double>(length) * share_);
  found.cut = std::min(length - 1, std::max<size_t>(1, static_cast<size_t>(wanted)));
  found.count = std::max<size_t>(1, static_cast<size_t>(std::round(static_cast<double>(found.cut) / span_)));
  found.count = std::min({found.count, found.cut, length - found.cut});
  return found;
}

/// Windows over the whole text, one after the other. What is left at its end, fewer than two tokens, is no window.
int64_t CorruptedSource::addWindows(const std::vector<std::string> &texts) {
  std::vector<int32_t> all = encodeTexts(vocabulary_, texts).ids;
  size_t room = longest_ - (end_ >= 0 ? 1 : 0), before = ends_.size();
  for (size_t begin = 0; begin + 1 < all.size(); begin += room) {
    size_t size = std::min(room, all.size() - begin);
    if (size < 2)
      break;
    ids_.insert(ids_.end(), all.begin() + static_cast<ptrdiff_t>(begin),
                all.begin() + static_cast<ptrdiff_t>(begin + size));
    ends_.push_back(ids_.size());
  }
  if (ends_.size() == before)
    fail("data '%s': a text has fewer than two tokens, of which none can be cut out", spec_.name.c_str());
  return static_cast<int64_t>(ends_.size() - before);
}

/// `count` numbers of at least 1 with that sum, each way as likely.
void CorruptedSource::parts(size_t total, size_t count, RandomStream &random, uint64_t &draws,
                            std::vector<size_t> &sizes) const {
  sizes.clear();
  size_t left = count, size = 1;
  for (size_t i = 1; i < total; ++i, ++size) // a cut behind token i, or none
    if (random.below(draws++, total - i) < left - 1) {
      sizes.push_back(size);
      size = 0;
      --left;
    }
  sizes.push_back(size);
}

void CorruptedSource::corrupt(std::span<const int32_t> window, RandomStream &random, uint64_t &draws) {
  Pieces wanted = pieces(window.size());
  parts(window.size() - wanted.cut, wanted.count, random, draws, kept_);
  parts(wanted.cut, wanted.count, random, draws, cut_);
  size_t at = 0;
  for (size_t i = 0; i < wanted.count; ++i) {
    auto kept = window.subspan(at, kept_[i]), cut = window.subspan(at + kept_[i], cut_[i]);
    source_.insert(source_.end(), kept.begin(), kept.end());
    source_.push_back(sentinels_[i]);
    written_.push_back(sentinels_[i]);
    written_.insert(written_.end(), cut.begin(), cut.end());
    at += kept_[i] + cut_[i];
  }
  if (end_ >= 0) {
    source_.push_back(end_);
    written_.push_back(end_);
  }
  sourceEnds_.push_back(source_.size());
  writtenEnds_.push_back(written_.size());
}

void CorruptedSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  // Validation loses the same pieces whatever the seed is.
  RandomStream random(split == Split::Train ? seed_ : 0, stream_ + static_cast<uint32_t>(split),
                      static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32));
  source_.clear();
  written_.clear();
  sourceEnds_.clear();
  writtenEnds_.clear();
  uint64_t draws = 0;
  for (int32_t row : rows) {
    size_t begin = row ? ends_[static_cast<size_t>(row) - 1] : 0;
    corrupt(std::span<const int32_t>(ids_).subspan(begin, ends_[static_cast<size_t>(row)] - begin), random, draws);
  }
  sources_->clear();
  size_t begin = 0, longest = 1;
  for (size_t end : sourceEnds_) {
    sources_->add({std::span<const int32_t>(source_).subspan(begin, end - begin),
                   std::span<const int8_t>(types_).first(end - begin)});
    begin = end;
  }
  begin = 0;
  for (size_t end : writtenEnds_) {
    longest = std::max(longest, end - begin);
    begin = end;
  }
  int64_t count = static_cast<int64_t>(rows.size()), shape[] = {count, static_cast<int64_t>(longest)};
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data || sources_->store(*this, f, fields, std::span(&count, 1)))
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name != "target" && name != "answer")
      fail("data '%s': its reader has no field '%s'", spec_.name.c_str(), name.c_str());
    // What is given to the decoder is what it writes, one place later, padding in front.
    bool given = name == "target";
    std::fill_n(block_.begin(), rows.size() * longest, given ? vocabulary_.pad() : -100);
    begin = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      size_t end = writtenEnds_[i];
      std::copy(written_.begin() + static_cast<ptrdiff_t>(begin),
                written_.begin() + static_cast<ptrdiff_t>(given ? end - 1 : end),
                block_.begin() + static_cast<ptrdiff_t>(i * longest + (given ? 1 : 0)));
      begin = end;
    }
    storeField(*this, f, fields, KILN_I32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openCorrupted(const SourceContext &context) {
  return std::make_unique<CorruptedSource>(context);
}

const Reader kiln_reader_corrupted{"corrupted", openCorrupted};

} // namespace kiln
