// What the kit found: one row for each thing tried.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kiln::conformance {

enum class Outcome { Pass, Refused, ExpectedFailure, Failure };

struct Row {
  std::string section; ///< "ops", "interface", "faults", "programs", "threads"
  std::string name;    ///< an op, or what was tried
  std::string dtype;   ///< empty where it does not apply
  std::string variant;
  Outcome outcome = Outcome::Pass;
  std::string reason; ///< of a refusal or a failure: a sentence
  double worst = 0;   ///< ulps from the float64 reference, where the result is no sum
  double share = 0;   ///< of what the rule allows, the worst error's part
  int64_t checks = 0; ///< launches, or calls, that were looked at
  std::string id() const;
};

class Report {
public:
  /// Names (as `id()` gives them; '*' stands for any characters) of rows that are known to fail.
  std::vector<std::string> expected;

  /// What a watcher (Watch.h) wants to know: rows that are about to be tried, several where they are compiled together,
  /// and rows that are there. All optional.
  struct Watcher {
    std::function<bool(const Row &)> done;                ///< an earlier process has this one
    std::function<bool(const Row &)> fatal;               ///< it ended an earlier process
    std::function<bool(const std::vector<Row> &)> begins; ///< false: not together, one by one
    std::function<void(const Row &)> added;
  } watcher;
  /// Rows that are tried at all: patterns of their names, between '|'; empty: all.
  std::string only;
  bool wants(const Row &row) const;
  /// Whether the row is to be tried; it then is what is under way. `needed`: others cannot do without it.
  bool begins(const Row &row, bool needed = false);

  void add(Row row);
  const std::vector<Row> &rows() const { return rows_; }
  int64_t count(Outcome outcome) const;
  bool failed() const { return count(Outcome::Failure) > 0; }

  /// For people: a line for each op with its dtypes, then what was refused and why, then what failed.
  std::string table() const;
  std::string json(const std::string &backend, const std::string &tier, uint32_t seed) const;

private:
  std::vector<Row> rows_;
};

/// Whether '*' in the pattern can stand for characters such that it becomes the text.
bool matches(const std::string &pattern, const std::string &text);

} // namespace kiln::conformance
