// Whole numbers in which the instances of a module differ, as arguments of it: `module Block(width)`.
#include "frontend/onnx/Folder.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace kiln::onnx {

/// The whole numbers of texts that differ in these alone: for each place the number of each text.
std::vector<std::vector<int64_t>> Folder::numbersOf(const std::vector<std::string> &texts) const {
  std::vector<std::vector<int64_t>> out;
  for (const std::string &text : texts) {
    std::vector<WholeNumber> numbers = wholeNumbers(text);
    out.resize(std::max(out.size(), numbers.size()));
    for (size_t i = 0; i < numbers.size(); ++i)
      out[i].push_back(numbers[i].value);
  }
  return out;
}

std::vector<std::string> Folder::typesOf(const Pattern::Operand &operand) const {
  std::vector<std::string> out;
  for (const std::string &name : operand.names)
    out.push_back(declared_.at(name)->type);
  return out;
}

static bool isSame(const std::vector<int64_t> &values) {
  return std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == values[0]; });
}

static int64_t sum(const std::vector<int64_t> &values) {
  return std::accumulate(values.begin(), values.end(), int64_t(0));
}

/// How many times `base` the values are, all of them; 0 where they are not.
static int64_t factorOf(const std::vector<int64_t> &values, const std::vector<int64_t> &base) {
  int64_t factor = base[0] > 0 ? values[0] / base[0] : 0;
  for (size_t k = 0; k < values.size(); ++k)
    factor = values[k] == factor * base[k] ? factor : 0;
  return factor;
}

/// Where an argument stands among others.
static int rank(const std::string &wish) {
  return wish == "channels" ? 0 : wish == "width" ? 1 : wish == "kernel" ? 2 : 3;
}

/// "padding" of "conv(x, w, padding=2)", else nothing.
static std::string keywordAt(const std::string &text, size_t begin) {
  size_t end = begin;
  while (end > 0 && (text[end - 1] == '(' || text[end - 1] == ' ' || text[end - 1] == ','))
    --end;
  if (end == 0 || text[end - 1] != '=')
    return "";
  size_t start = end - 1;
  while (start > 0 && (std::isalpha(static_cast<unsigned char>(text[start - 1])) || text[start - 1] == '_'))
    --start;
  return text.substr(start, end - 1 - start);
}

/// What differs, and what it may be called. False where it is too much for a module's arguments.
bool Folder::findWidths() {
  constexpr size_t kMostWidths = 6;
  auto add = [&](const std::vector<int64_t> &values, const std::string &wish) {
    bool isThere = std::any_of(wishes_.begin(), wishes_.end(), [&](const auto &one) { return one.first == values; });
    if (!isSame(values) && !isThere)
      wishes_.emplace_back(values, wish);
  };
  for (const std::string &name : pattern_.order)
    if (const Pattern::Operand &operand = pattern_.operands.at(name); operand.isParameter && !pattern_.isOne) {
      std::vector<std::vector<int64_t>> numbers = numbersOf(typesOf(operand));
      for (size_t axis = numbers.size(); axis-- > 0;)
        add(numbers[axis], axis > 1 ? "kernel" : axis == 1 ? "channels" : "width");
    }
  for (size_t j = 0; j < candidate_.instances[0].size(); ++j) {
    std::vector<std::string> texts;
    for (const std::vector<size_t> &lines : candidate_.instances)
      texts.push_back(program_.lines[lines[j]].expression);
    std::vector<std::vector<int64_t>> numbers = numbersOf(texts);
    std::vector<WholeNumber> places = wholeNumbers(texts[0]);
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i].size() != texts.size())
        return false;
      std::string wish = keywordAt(texts[0], places[i].begin);
      add(numbers[i], wish.empty() || wish == "groups" ? "size" : wish);
    }
  }
  // What is a multiple of another one needs no argument.
  std::sort(wishes_.begin(), wishes_.end(), [](const auto &a, const auto &b) {
    return std::tuple(sum(a.first), a.first) < std::tuple(sum(b.first), b.first);
  });
  std::vector<std::pair<std::vector<int64_t>, std::string>> own;
  for (const auto &[values, wish] : wishes_) {
    auto isBase = [&values = values](const auto &base) { return factorOf(values, base.first) > 1; };
    if (std::none_of(own.begin(), own.end(), isBase))
      own.emplace_back(values, wish);
  }
  widths_.clear();
  for (const auto &[values, wish] : wishes_)
    widths_[values] = "";
  wishes_ = std::move(own);
  std::sort(wishes_.begin(), wishes_.end(), [](const auto &a, const auto &b) {
    return std::tuple(rank(a.second), sum(a.first), a.first) < std::tuple(rank(b.second), sum(b.first), b.first);
  });
  return wishes_.size() <= kMostWidths;
}

void Folder::nameWidths(Module &module) {
  for (const auto &[values, wish] : wishes_) {
    std::string name = widths_[values] = freshIn(moduleNames_, wish);
    module.widths += (module.widths.empty() ? "" : ", ") + name;
  }
  for (auto &[values, text] : widths_)
    for (const auto &[base, wish] : wishes_)
      if (int64_t factor = factorOf(values, base); text.empty() && factor > 1)
        text = std::to_string(factor) + " * " + widths_.at(base);
  for (Declared &member : module.parameters)
    for (const auto &[name, operand] : pattern_.operands)
      if (operand.isParameter && !pattern_.isOne && local_.at(name) == member.name)
        member.type = withWidths(member.type, typesOf(operand));
}

/// A text of the first instance, `others` being those of all in its place, with the module's arguments.
std::string Folder::withWidths(const std::string &text, const std::vector<std::string> &others) const {
  if (widths_.empty())
    return text;
  std::vector<std::string> numbers;
  for (const std::vector<int64_t> &values : numbersOf(others)) {
    auto found = widths_.find(values);
    numbers.push_back(found == widths_.end() ? std::to_string(values[0]) : found->second);
  }
  // A product in a text is read whole between brackets and commas, and so it stands.
  std::string out;
  size_t done = 0, i = 0;
  for (const WholeNumber &number : wholeNumbers(text)) {
    size_t end = number.begin + number.length;
    bool bare =
        number.begin > 0 && std::string_view("([ =:").find(text[number.begin - 1]) != std::string_view::npos &&
        (number.begin < 2 || std::string_view("+-*/@%").find(text[number.begin - 2]) == std::string_view::npos) &&
        (end == text.size() || std::string_view(")],:").find(text[end]) != std::string_view::npos);
    bool isProduct = numbers[i].find(' ') != std::string::npos;
    out += text.substr(done, number.begin - done) + (isProduct && !bare ? "(" + numbers[i] + ")" : numbers[i]);
    done = end;
    ++i;
  }
  return out + text.substr(done);
}

} // namespace kiln::onnx
