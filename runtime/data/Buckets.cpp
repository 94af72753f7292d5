// Shuffles, and sorts by length in stretches of batches.
#include "runtime/data/Buckets.h"

#include "runtime/data/Rows.h"
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

} // namespace kiln
