// Composites that exporters take apart, found again: the text of a statement with all that it alone uses written into
// it is compared with how they write GELU, SiLU, hard swish, layer norm and RMS norm.
#include "frontend/onnx/Importer.h"

#include <regex>

namespace kiln::onnx {

namespace {
struct Pattern {
  const char *word; ///< that such a text holds: most texts are not looked at further
  std::regex text;
  const char *written;
};

/// What of a text is written in its place, whole.
const std::vector<Pattern> &patterns() {
  static const auto *all = new std::vector<Pattern>{
      {"erf(", std::regex(R"(\((\w+) \* \(erf\(\1 / 1\.41421\d*\) \+ 1\.0\)\) \* 0\.5)"), "gelu($1)"},
      {"erf(", std::regex(R"(\((\w+) \* 0\.5\) \* \(erf\(\1 / 1\.41421\d*\) \+ 1\.0\))"), "gelu($1)"},
      {"erf(", std::regex(R"(\(0\.5 \* (\w+)\) \* \(1\.0 \+ erf\(\1 (?:/ 1\.41421\d*|\* 0\.70710\d*)\)\))"),
       "gelu($1)"},
      {"tanh(",
       std::regex(
           R"((\w+) \* \(0\.5 \* \(1\.0 \+ tanh\(0\.79788\d* \* \(\1 \+ \(\1 \* \(\1 \* \(0\.044715\d* \* \1\)\)\)\)\)\)\))"),
       "gelu($1, tanh=True)"},
      {"sigmoid(", std::regex(R"((\w+) \* sigmoid\(\1\))"), "silu($1)"},
      {"clip(", std::regex(R"((\w+) \* clip\(0\.16666\d* \* \1 \+ 0\.5, 0\.0, 1\.0\))"), "hardswish($1)"},
  };
  return *all;
}
} // namespace

/// (d / sqrt(mean(d ** 2)) + epsilon) * w + b, where d is x - mean(x): empty where it is none. `expressions`: of names.
static std::string layerNorm(const std::string &text, const std::map<std::string, std::string> &expressions,
                             const std::function<int64_t(const std::string &)> &rank) {
  static const std::regex scaled(
      R"(\(\((\w+) / sqrt\(mean\((?:\1 \*\* 2\.0|\1 \* \1|square\(\1\)), axis=(\d+), keepdims=True\) \+ ([0-9.e-]+)\)\) \* (\w+)\) \+ (\w+))");
  static const std::regex centred(R"((\w+) - mean\(\1, axis=(\d+), keepdims=True\))");
  std::smatch outer, inner;
  if (text.find("sqrt(mean(") == std::string::npos || !std::regex_match(text, outer, scaled))
    return "";
  auto found = expressions.find(outer[1]);
  if (found == expressions.end() || !std::regex_match(found->second, inner, centred) || inner[2] != outer[2])
    return "";
  bool isLast = std::stoll(outer[2]) + 1 == rank(inner[1]);
  if (!isLast || rank(outer[4]) != 1 || rank(outer[5]) != 1)
    return "";
  return "layer_norm(" + inner[1].str() + ", " + outer[4].str() + ", " + outer[5].str() +
         ", epsilon=" + outer[3].str() + ")";
}

/// w * (x / sqrt(mean(x ** 2) + epsilon)), in the orders that exporters have: empty where it is none.
static std::string rmsNorm(const std::string &text, const std::map<std::string, std::string> &expressions,
                           const std::function<int64_t(const std::string &)> &rank) {
  static const std::string normed =
      R"(\((\w+) (?:\* \(1\.0 / sqrt\(|/ sqrt\()mean\((?:\w+ \*\* 2\.0|\w+ \* \w+|square\(\w+\)), axis=(\d+), keepdims=True\) \+ ([0-9.e-]+)\)+)";
  static const std::regex before(R"((\w+) \* )" + normed), behind(normed + R"( \* (\w+))");
  std::smatch found;
  if (text.find("sqrt(mean(") == std::string::npos)
    return "";
  std::string weight, x, axis, epsilon;
  if (std::regex_match(text, found, before))
    weight = found[1], x = found[2], axis = found[3], epsilon = found[4];
  else if (std::regex_match(text, found, behind))
    weight = found[4], x = found[1], axis = found[2], epsilon = found[3];
  else
    return "";
  // The squares have to be of what is divided.
  bool isOwn = text.find("mean(" + x + " ** 2.0, ") != std::string::npos ||
               text.find("mean(" + x + " * " + x + ", ") != std::string::npos ||
               text.find("mean(square(" + x + "), ") != std::string::npos;
  auto made = expressions.find(x); // a layer norm's first half is not one
  isOwn &= made == expressions.end() || made->second.find(" - mean(") == std::string::npos;
  if (!isOwn || std::stoll(axis) + 1 != rank(x) || rank(weight) != 1)
    return "";
  return "rms_norm(" + x + ", " + weight + ", epsilon=" + epsilon + ")";
}

void findComposites(std::vector<Line> &lines, const std::string &result,
                    const std::function<int64_t(const std::string &)> &rank) {
  constexpr size_t kLongest = 400;
  std::map<std::string, int> uses = countUses(lines, result);
  std::map<std::string, std::string> whole; // with all that is used once written in, by name
  for (Line &line : lines) {
    if (line.fixed || line.names.size() != 1) {
      whole.clear(); // a loop gives its names new values
      continue;
    }
    std::string text = line.expression;
    std::set<std::string> parts;
    eachName(line.expression, [&](const std::string &name, size_t) {
      if (whole.contains(name) && uses[name] == 1)
        parts.insert(name);
    });
    for (const std::string &name : parts)
      text = withInserted(text, name, whole[name], kLongest);
    std::string found = layerNorm(text, whole, rank);
    if (found.empty())
      found = rmsNorm(text, whole, rank);
    for (const Pattern &pattern : patterns())
      if (found.empty() && text.find(pattern.word) != std::string::npos && std::regex_match(text, pattern.text))
        found = std::regex_replace(text, pattern.text, pattern.written);
    if (!found.empty())
      line.expression = text = found;
    if (text.size() < kLongest)
      whole[line.names[0]] = text;
  }
}

} // namespace kiln::onnx
