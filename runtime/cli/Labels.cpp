// Names of classes beside the scores that `run` prints.
#include "runtime/cli/Labels.h"

#include "runtime/cli/Output.h"
#include "runtime/data/Coding.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln {

namespace {

/// The entries of a row, the largest first; of equal ones the first first, as argmax has it, and of what is no number
/// whatever comes first.
std::vector<int64_t> inOrder(const TensorView &view, int64_t row) {
  int64_t width = view.shape.back();
  std::vector<double> scores(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; ++i)
    scores[static_cast<size_t>(i)] = loadNumber(view.dtype, view.data, row * width + i);
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    double x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y) || x == y)
      return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(x);
    return x > y;
  });
  return order;
}

int64_t rowsOf(const TensorView &view) { return *countElements(std::span(view.shape).first(view.shape.size() - 1)); }

/// Of `top` = 0 the one of the largest, else a list.
std::string jsonRows(const TensorView &view, const std::vector<std::string> &names, int64_t top, size_t axis,
                     int64_t &row) {
  if (axis + 1 == view.shape.size()) {
    std::vector<int64_t> order = inOrder(view, row++);
    std::string list;
    for (int64_t i = 0; i < std::min(std::max<int64_t>(top, 1), view.shape.back()); ++i)
      list += (list.empty() ? "" : ",") + jsonQuote(names[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    return top ? "[" + list + "]" : list;
  }
  std::string text = "[";
  for (int64_t i = 0; i < view.shape[axis]; ++i)
    text += (i ? "," : "") + jsonRows(view, names, top, axis + 1, row);
  return text + "]";
}

class NamedClasses final : public ClassNames {
public:
  explicit NamedClasses(std::vector<std::vector<std::string>> lists) : lists_(std::move(lists)) {}

  const std::vector<std::string> *of(const TensorView &view) const override {
    const std::vector<std::string> *found = nullptr;
    if (!isFloat(view.dtype) || view.shape.empty())
      return nullptr;
    for (const std::vector<std::string> &names : lists_)
      if (static_cast<int64_t>(names.size()) == view.shape.back()) {
        if (found && *found != names)
          return nullptr; // of either
        found = &names;
      }
    return found;
  }

  void print(const TensorView &view, int64_t top) const override {
    const std::vector<std::string> &names = *of(view);
    std::printf("%s: %s\n", view.name.c_str(), describeType(view.dtype, view.shape).c_str());
    int64_t width = view.shape.back(), rows = rowsOf(view);
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<int64_t> order = inOrder(view, row);
      if (top == 0) {
        for (int64_t i = 0; i < width; ++i)
          std::printf("%s%s", i ? " " : "", elementText(view, row * width + i).c_str());
        std::printf("\t%s\n", names[static_cast<size_t>(order.front())].c_str());
      }
      for (int64_t i = 0; i < std::min(top, width); ++i) {
        int64_t at = order[static_cast<size_t>(i)];
        std::printf("%s\t%s\n", elementText(view, row * width + at).c_str(), names[static_cast<size_t>(at)].c_str());
      }
      if (top > 1 && row + 1 < rows)
        std::printf("\n");
    }
  }

  std::string json(const TensorView &view, int64_t top) const override {
    int64_t row = 0;
    return jsonRows(view, *of(view), top, 0, row);
  }

private:
  std::vector<std::vector<std::string>> lists_;
};

} // namespace

extern "C" ClassNames *kiln_result_labels(const Options &options, const Common &common, const Manifest &manifest) {
  std::vector<std::vector<std::string>> lists;
  for (const auto &[key, text] : weightCodings(options, common, manifest, /*trains=*/false))
    if (key.starts_with(classesPrefix) && key.find(".categories.") == std::string::npos && !text.empty())
      lists.push_back(classesIn(text, key));
  if (lists.empty() && !manifest.labels.empty())
    lists.push_back(manifest.labels);
  return lists.empty() ? nullptr : new NamedClasses(std::move(lists));
}

} // namespace kiln
