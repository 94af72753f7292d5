// The order in which an epoch takes rows of different lengths: like lengths together, so that little is padding.
#pragma once

#include "runtime/data/Rows.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// An epoch: all rows shuffled; each stretch of `bucket` batches sorted by length; the batches shuffled. Without
/// shuffling the rows as they are.
class Buckets {
public:
  struct Options {
    size_t rows;
    int64_t batch, bucket; // 1 sorts nothing
    bool shuffle;
    uint32_t seed;
    std::string name; // of the source: for the stream of the shuffles
  };
  /// `lengths`: what row i of the training rows is sorted by.
  using Lengths = std::function<std::pair<size_t, size_t>(int32_t row)>;
  Buckets(Options options, Lengths lengths);

  /// The training rows of a batch, counted on over the epochs; valid until the next call.
  std::span<const int32_t> batch(int64_t number);

private:
  void order(int64_t epoch);

  Options options_;
  Lengths lengths_;
  uint32_t stream_;
  std::vector<int32_t> order_;
  int64_t epoch_ = -1;
};

/// Rows that are of like length in a batch: an epoch's by Buckets, those of validation and test by their length.
class RowsByLength {
public:
  RowsByLength(Rows rows, const Rows::Options &options, int64_t bucket, std::function<size_t(size_t row)> length);

  int64_t batches(Split split) const { return rows_.batches(split); }
  /// The rows of a batch; valid until the next call.
  std::span<const int32_t> batch(Split split, int64_t number);

private:
  Rows rows_;
  size_t size_; // of a batch
  std::vector<int32_t> ordered_[3], taken_;
  Buckets buckets_;
};

} // namespace kiln
