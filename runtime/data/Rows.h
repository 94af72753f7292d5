// Which rows are in which split, and in which order an epoch takes them.
#pragma once

#include "runtime/data/Source.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace kiln {

/// Rows of up to three files, numbered through: those of the main file, then the validation file's, then the test
/// file's.
class Rows {
public:
  struct Options {
    /// What the recipe says of any reader.
    Options(const SourceSpec &spec, uint32_t seed);
    int64_t batch;
    double validation, test;                  // fractions of the main file
    int64_t validationRows = 0, testRows = 0; // of files of their own
    bool whole = false;        // all of the file is to be measured (`eval --split all`): nothing is trained on
    int64_t from = 0, to = -1; // which rows of the main file it has; -1: to its end
    bool shuffle;
    uint32_t seed;
    std::string name; // for errors and for the stream of the shuffles
  };
  Rows(int64_t mainRows, Options options);

  int64_t batches(Split split) const;
  int64_t count(Split split) const { return static_cast<int64_t>(members(split).size()); }
  /// The rows of a batch; valid until the next call. Training: batches are counted on over the epochs.
  std::span<const int32_t> batch(Split split, int64_t number);
  const std::vector<int32_t> &members(Split split) const { return members_[static_cast<size_t>(split)]; }

private:
  Options options_;
  std::vector<int32_t> members_[3];
  uint32_t stream_;
  std::vector<int32_t> order_; // of the epoch that `epoch_` says
  int64_t epoch_ = -1;
};

/// The main file (the recipe's, or --data's), then those that validation and test have for themselves: `add` reads one
/// and tells how many rows it has. The rows of the main file; the others' go into `rows`.
int64_t addFiles(const SourceContext &context, Rows::Options &rows,
                 const std::function<int64_t(const std::string &path)> &add);

/// A permutation of `values` in place, a pure function of (seed, stream, epoch).
void shuffle(std::vector<int32_t> &values, uint32_t seed, uint32_t stream, uint32_t epoch);

/// "validation" or "test" of a reader's options: a fraction in [0, 1), else 0 where it is a path. Throws Error.
double splitFraction(const Json &options, const char *key);
/// The paths where it is one path or a list of them; else none.
std::vector<std::string> splitPaths(const Json &options, const char *key);

} // namespace kiln
