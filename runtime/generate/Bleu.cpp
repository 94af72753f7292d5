#include "runtime/generate/Bleu.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace kiln {

static std::vector<std::string> words(const std::string &text) {
  std::vector<std::string> list;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    if (end > at)
      list.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return list;
}

static std::map<std::string, int> grams(const std::vector<std::string> &words, size_t n) {
  std::map<std::string, int> counts;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    std::string gram;
    for (size_t j = 0; j < n; ++j)
      gram += words[i + j] + ' ';
    ++counts[gram];
  }
  return counts;
}

double bleu(const std::vector<std::string> &candidates, const std::vector<std::string> &references) {
  double matches[4] = {}, totals[4] = {}, length = 0, referenceLength = 0;
  for (size_t i = 0; i < candidates.size() && i < references.size(); ++i) {
    std::vector<std::string> candidate = words(candidates[i]), reference = words(references[i]);
    length += static_cast<double>(candidate.size());
    referenceLength += static_cast<double>(reference.size());
    for (size_t n = 1; n <= 4; ++n) {
      std::map<std::string, int> theirs = grams(reference, n);
      for (const auto &[gram, count] : grams(candidate, n)) {
        totals[n - 1] += count;
        if (auto found = theirs.find(gram); found != theirs.end())
          matches[n - 1] += std::min(count, found->second);
      }
    }
  }
  double logs = 0;
  for (size_t n = 0; n < 4; ++n) {
    if (matches[n] == 0)
      return 0;
    logs += std::log(matches[n] / totals[n]) / 4;
  }
  double brevity = length >= referenceLength ? 0 : 1 - referenceLength / length;
  return 100 * std::exp(logs + brevity);
}

} // namespace kiln
