// Batches of sequences by their length.
#include "runtime/data/SequenceSource.h"

#include "runtime/data/Coding.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

SequenceSource::SequenceSource(const SourceContext &context, Vocabulary vocabulary, SequenceRows rows,
                               Rows::Options options, const std::vector<std::string> &tags)
    : Source(*context.spec), vocabulary_(std::move(vocabulary)), data_(std::move(rows)),
      batch_(static_cast<size_t>(options.batch)),
      longest_(static_cast<size_t>(spec_.options.at("max_length").integer(1, INT32_MAX))),
      whole_(spec_.options.stringOr("padding", "longest") == "max_length") {
  if (!tags.empty())
    keepCoding(classesPrefix, "tags", textOf(tags));
  rows_.emplace(Rows(static_cast<int64_t>(data_.size()) - options.validationRows - options.testRows, options), options,
                spec_.options.integerOr("bucket", 50), [this](size_t row) { return data_.length(row); });
  block_.emplace(batch_, longest_, vocabulary_.pad(), whole_);
  numbers_.resize(batch_ * longest_);
  labels_.resize(batch_ * longest_);
}

/// A field of numbers beside the tokens.
void SequenceSource::storeNumbers(size_t field, std::span<FieldBuffer> fields) {
  const std::string &name = spec_.fields[field].name;
  auto found = std::find_if(data_.fields.begin(), data_.fields.end(),
                            [&](const SequenceRows::Field &candidate) { return candidate.name == name; });
  if (found == data_.fields.end())
    fail("data '%s': its reader has no field '%s'", spec_.name.c_str(), name.c_str());
  int64_t shape[] = {static_cast<int64_t>(batchRows_.size()), 0};
  if (!found->perToken) {
    for (size_t i = 0; i < batchRows_.size(); ++i)
      numbers_[i] = found->values[static_cast<size_t>(batchRows_[i])];
    storeField(*this, field, fields, KILN_I32, numbers_.data(), std::span(shape, 1));
    return;
  }
  size_t at = 0;
  for (int32_t row : batchRows_) {
    size_t length = data_.length(static_cast<size_t>(row));
    std::copy_n(found->values.begin() + static_cast<ptrdiff_t>(data_.begin(static_cast<size_t>(row))), length,
                labels_.begin() + static_cast<ptrdiff_t>(at));
    at += length;
  }
  storePadded(field, fields, labels_.data());
}

/// Numbers for the batch's tokens, row behind row.
void SequenceSource::storePadded(size_t field, std::span<FieldBuffer> fields, const int32_t *values) {
  size_t length = whole_ ? longest_ : 1;
  for (int32_t row : batchRows_)
    length = std::max(length, data_.length(static_cast<size_t>(row)));
  std::fill_n(numbers_.begin(), batchRows_.size() * length, -100);
  for (size_t i = 0; i < batchRows_.size(); ++i) {
    size_t own = data_.length(static_cast<size_t>(batchRows_[i]));
    std::copy_n(values, own, numbers_.begin() + static_cast<ptrdiff_t>(i * length));
    values += own;
  }
  int64_t shape[] = {static_cast<int64_t>(batchRows_.size()), static_cast<int64_t>(length)};
  storeField(*this, field, fields, KILN_I32, numbers_.data(), shape);
}

void SequenceSource::hideWords(double share, uint32_t seed) {
  const Tokenizer *tokenizer = vocabulary_.tokenizer();
  if (tokenizer && tokenizer->mask() < 0)
    fail("data '%s': its tokenizer has no token [MASK] or <mask> to hide words behind", spec_.name.c_str());
  share_ = share;
  seed_ = seed;
  std::string stream = "mask:" + spec_.name;
  stream_ = namedStream(stream.data(), stream.size());
  hidden_.resize(batch_ * longest_);
}

/// The batch's rows with tokens hidden, and what was there. Validation hides the same whatever the seed is.
void SequenceSource::hide(Split split, int64_t number) {
  const Tokenizer *tokenizer = vocabulary_.tokenizer();
  RandomStream random(split == Split::Train ? seed_ : 0, stream_ + static_cast<uint32_t>(split),
                      static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32));
  constexpr uint64_t fine = 1 << 20;
  size_t at = 0;
  for (int32_t row : batchRows_)
    for (size_t i = data_.begin(static_cast<size_t>(row)); i < data_.ends[static_cast<size_t>(row)]; ++i, ++at) {
      int32_t id = data_.ids[i];
      hidden_[at] = id;
      labels_[at] = -100;
      bool special = tokenizer ? tokenizer->isSpecial(id) : id < SpecialTokenCount;
      if (special || static_cast<double>(random.below(3 * at, fine)) >= share_ * static_cast<double>(fine))
        continue;
      labels_[at] = id;
      uint64_t die = random.below(3 * at + 1, 10);
      if (die < 8)
        hidden_[at] = tokenizer ? tokenizer->mask() : UnknownToken;
      else if (die == 8)
        hidden_[at] = static_cast<int32_t>(random.below(3 * at + 2, vocabulary_.size()));
    }
}

void SequenceSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  batchRows_ = rows_->batch(split, number);
  block_->clear();
  if (share_ > 0)
    hide(split, number);
  size_t at = 0;
  for (int32_t row : batchRows_) {
    size_t begin = data_.begin(static_cast<size_t>(row)), length = data_.length(static_cast<size_t>(row));
    std::span<const int32_t> ids = share_ > 0 ? std::span<const int32_t>(hidden_).subspan(at, length)
                                              : std::span<const int32_t>(data_.ids).subspan(begin, length);
    block_->add({ids, std::span(data_.types).subspan(begin, length)});
    at += length;
  }
  int64_t count = static_cast<int64_t>(batchRows_.size());
  for (size_t f = 0; f < fields.size(); ++f)
    if (!fields[f].data)
      continue;
    else if (share_ > 0 && spec_.fields[f].name == "labels")
      storePadded(f, fields, labels_.data());
    else if (!block_->store(*this, f, fields, std::span(&count, 1)))
      storeNumbers(f, fields);
}

} // namespace kiln
