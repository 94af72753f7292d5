// Shuffles, and sorts by length in stretches of batches.
#include "runtime/data/Buckets.h"

#include "runtime/random/Philox.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace kiln {

Buckets::Buckets(Options options, Lengths lengths) : options_(std::move(options)), lengths_(std::move(lengths)) {
  std::string stream = "shuffle:" + options_.name;
  stream_ = namedStream(stream.data(), stream.size());
}

std::span<const int32_t> Buckets::batch(int64_t number) {
  int64_t perEpoch = static_cast<int64_t>(options_.rows) / options_.batch;
  if (number / perEpoch != epoch_)
    order(number / perEpoch);
  return std::span<const int32_t>(order_).subspan(static_cast<size_t>(number % perEpoch * options_.batch),
                                                  static_cast<size_t>(options_.batch));
}

void Buckets::order(int64_t epoch) {
  epoch_ = epoch;
  order_.resize(options_.rows);
  std::iota(order_.begin(), order_.end(), 0);
  if (!options_.shuffle)
    return;
  std::vector<int32_t> rows = order_;
  size_t batch = static_cast<size_t>(options_.batch), whole = rows.size() / batch;
  shuffle(rows, options_.seed, stream_, static_cast<uint32_t>(epoch));
  size_t stretch = batch * static_cast<size_t>(std::max<int64_t>(options_.bucket, 1));
  // By the lengths, then the row; the lengths are looked up once.
  std::vector<std::tuple<size_t, size_t, int32_t>> keys;
  for (size_t begin = 0; options_.bucket > 1 && begin < rows.size(); begin += stretch) {
    size_t end = std::min(begin + stretch, rows.size());
    keys.clear();
    for (size_t i = begin; i < end; ++i) {
      auto [first, second] = lengths_(rows[i]);
      keys.emplace_back(first, second, rows[i]);
    }
    std::sort(keys.begin(), keys.end());
    for (size_t i = begin; i < end; ++i)
      rows[i] = std::get<2>(keys[i - begin]);
  }
  std::vector<int32_t> batches(whole);
  std::iota(batches.begin(), batches.end(), 0);
  shuffle(batches, options_.seed, stream_ ^ 1, static_cast<uint32_t>(epoch));
  order_.clear();
  for (int32_t b : batches)
    order_.insert(order_.end(), rows.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(b) * batch),
                  rows.begin() + static_cast<ptrdiff_t>((static_cast<size_t>(b) + 1) * batch));
}

static std::vector<int32_t> byLength(std::vector<int32_t> rows, const std::function<size_t(size_t)> &length) {
  auto key = [&](int32_t row) { return std::pair(length(static_cast<size_t>(row)), row); };
  std::sort(rows.begin(), rows.end(), [&](int32_t a, int32_t b) { return key(a) < key(b); });
  return rows;
}

RowsByLength::RowsByLength(Rows rows, const Rows::Options &options, int64_t bucket,
                           std::function<size_t(size_t row)> length)
    : rows_(std::move(rows)), size_(static_cast<size_t>(options.batch)),
      ordered_{rows_.members(Split::Train), byLength(rows_.members(Split::Validation), length),
               byLength(rows_.members(Split::Test), length)},
      buckets_({ordered_[0].size(), options.batch, bucket, options.shuffle, options.seed, options.name},
               [training = ordered_[0], length](int32_t place) {
                 return std::pair(length(static_cast<size_t>(training[static_cast<size_t>(place)])), size_t{0});
               }) {
  taken_.reserve(size_);
}

std::span<const int32_t> RowsByLength::batch(Split split, int64_t number) {
  const std::vector<int32_t> &ordered = ordered_[static_cast<size_t>(split)];
  if (split != Split::Train) {
    // Rows counts which they are, and says it where there are none.
    size_t count = rows_.batch(split, number).size();
    return std::span(ordered).subspan(static_cast<size_t>(number % batches(split)) * size_, count);
  }
  taken_.clear();
  for (int32_t place : buckets_.batch(number))
    taken_.push_back(ordered[static_cast<size_t>(place)]);
  return taken_;
}

} // namespace kiln
