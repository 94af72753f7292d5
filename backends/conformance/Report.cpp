// Rows found, kept, counted and printed: as a table and as JSON.

#include "backends/conformance/Report.h"

#include "nlohmann/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace kiln::conformance {

bool matches(const std::string &pattern, const std::string &text) {
  size_t p = 0, t = 0, star = std::string::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<int64_t>(p), pattern.end(), [](char c) { return c == '*'; });
}

std::string Row::id() const {
  std::string text = section + "/" + name;
  for (const std::string *part : {&dtype, &variant})
    if (!part->empty())
      text += "/" + *part;
  return text;
}

bool Report::wants(const Row &row) const {
  std::string id = row.id();
  for (size_t from = 0; !only.empty() && from <= only.size();) {
    size_t to = std::min(only.find('|', from), only.size());
    if (matches(only.substr(from, to - from), id))
      return true;
    from = to + 1;
  }
  return only.empty();
}

bool Report::begins(const Row &row, bool needed) {
  if (!needed && !wants(row))
    return false;
  if (watcher.done && watcher.done(row))
    return false;
  return !watcher.begins || watcher.begins({row});
}

void Report::add(Row row) {
  bool known = std::any_of(expected.begin(), expected.end(),
                           [&](const std::string &pattern) { return matches(pattern, row.id()); });
  if (known && row.outcome == Outcome::Failure) {
    row.outcome = Outcome::ExpectedFailure;
  } else if (known && row.outcome == Outcome::Pass) {
    row.outcome = Outcome::Failure;
    row.reason = "it passes and was expected to fail: take it from the list";
  }
  rows_.push_back(std::move(row));
  if (watcher.added)
    watcher.added(rows_.back());
}

int64_t Report::count(Outcome outcome) const {
  return std::count_if(rows_.begin(), rows_.end(), [&](const Row &row) { return row.outcome == outcome; });
}

namespace {

struct Tally {
  int64_t count[4] = {};
  double worst = 0, share = 0;
  void add(const Row &row) {
    ++count[static_cast<size_t>(row.outcome)];
    worst = std::max(worst, row.worst);
    share = std::max(share, row.share);
  }
  std::string text() const {
    std::string result;
    const char *words[] = {" ok", " refused", " expected", " FAILED"};
    for (int i : {3, 2, 1, 0})
      if (count[i])
        result += (result.empty() ? "" : ",") + std::to_string(count[i]) + words[i];
    char text[40] = "";
    if (worst > 0)
      std::snprintf(text, sizeof text, " %.2g ulp", worst);
    else if (share > 0)
      std::snprintf(text, sizeof text, " %.0f%%", std::ceil(share * 100));
    result += text;
    return result;
  }
};

/// Rows of an outcome with their reasons, those with one reason together.
void reasons(const std::vector<Row> &rows, Outcome outcome, const char *title, size_t most, std::string &text) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (const Row &row : rows) {
    if (row.outcome != outcome)
      continue;
    auto at = std::find_if(groups.begin(), groups.end(), [&](const auto &group) { return group.first == row.reason; });
    if (at == groups.end())
      at = groups.insert(groups.end(), {row.reason, {}});
    at->second.push_back(row.id());
  }
  if (groups.empty())
    return;
  text += std::string("\n") + title + "\n";
  for (size_t g = 0; g < groups.size() && g < most; ++g) {
    const auto &[reason, names] = groups[g];
    text += "  " + names.front() + (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "") +
            ": " + (reason.empty() ? "no reason was given" : reason) + "\n";
  }
  if (groups.size() > most)
    text += "  and " + std::to_string(groups.size() - most) + " more (--json has all)\n";
}

} // namespace

std::string Report::table() const {
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::pair<std::string, Tally>>> lines;
  for (const Row &row : rows_) {
    std::string name = row.section + " " + row.name;
    auto [line, fresh] = lines.try_emplace(name);
    if (fresh)
      order.push_back(name);
    auto &cells = line->second;
    auto cell = std::find_if(cells.begin(), cells.end(), [&](const auto &c) { return c.first == row.dtype; });
    if (cell == cells.end())
      cell = cells.insert(cells.end(), {row.dtype, {}});
    cell->second.add(row);
  }
  std::string text;
  for (const std::string &name : order) {
    char head[48];
    std::snprintf(head, sizeof head, "%-34s", name.c_str());
    text += head;
    for (const auto &[dtype, tally] : lines[name])
      text += (dtype.empty() ? " " : "  " + dtype + " ") + tally.text();
    text += "\n";
  }
  reasons(rows_, Outcome::Refused, "Refused:", 40, text);
  reasons(rows_, Outcome::ExpectedFailure, "Expected failures:", 40, text);
  reasons(rows_, Outcome::Failure, "Failures:", 60, text);
  char tail[160];
  std::snprintf(tail, sizeof tail, "\n%lld passed, %lld refused, %lld expected failures, %lld failures\n",
                static_cast<long long>(count(Outcome::Pass)), static_cast<long long>(count(Outcome::Refused)),
                static_cast<long long>(count(Outcome::ExpectedFailure)),
                static_cast<long long>(count(Outcome::Failure)));
  return text + tail;
}

std::string Report::json(const std::string &backend, const std::string &tier, uint32_t seed) const {
  static const char *words[] = {"pass", "refused", "expected failure", "failure"};
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row &row : rows_) {
    nlohmann::ordered_json item = {{"section", row.section}, {"name", row.name}};
    if (!row.dtype.empty())
      item["dtype"] = row.dtype;
    if (!row.variant.empty())
      item["variant"] = row.variant;
    item["result"] = words[static_cast<size_t>(row.outcome)];
    if (!row.reason.empty())
      item["reason"] = row.reason;
    item["checks"] = row.checks;
    item["worst_ulps"] = row.worst;
    item["share_of_tolerance"] = row.share;
    rows.push_back(std::move(item));
  }
  nlohmann::ordered_json all = {{"backend", backend},
                                {"tier", tier},
                                {"seed", seed},
                                {"passed", count(Outcome::Pass)},
                                {"refused", count(Outcome::Refused)},
                                {"expected_failures", count(Outcome::ExpectedFailure)},
                                {"failures", count(Outcome::Failure)},
                                {"rows", std::move(rows)}};
  return all.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace kiln::conformance
