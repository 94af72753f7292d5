// Modules that stand anywhere in a file and are alike but for whole numbers: the blocks of ResNet's stages.
#include "frontend/onnx/Repeats.h"

#include <algorithm>
#include <cctype>
#include <tuple>

namespace kiln::onnx {

std::vector<WholeNumber> wholeNumbers(const std::string &text) {
  auto isWord = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
  std::vector<WholeNumber> out;
  for (size_t begin = 0; begin < text.size();) {
    if (text[begin] == '"') {
      begin = std::min(text.find('"', begin + 1), text.size() - 1) + 1;
      continue;
    }
    size_t end = begin;
    while (end < text.size() && isWord(text[end]))
      ++end;
    std::string word = text.substr(begin, end - begin);
    if (!word.empty() && word.size() < 10 && word.find_first_not_of("0123456789") == std::string::npos)
      out.push_back({begin, word.size(), std::stoll(word)});
    begin = std::max(end, begin + 1);
  }
  return out;
}

std::string withNumbers(const std::string &text, const std::vector<std::string> &numbers) {
  std::string out;
  size_t done = 0, i = 0;
  for (const WholeNumber &number : wholeNumbers(text)) {
    out += text.substr(done, number.begin - done) + numbers[i++];
    done = number.begin + number.length;
  }
  return out + text.substr(done);
}

namespace {
/// The lines of one module, which stand one behind the other.
struct Part {
  std::vector<std::string> path;
  size_t begin = 0, end = 0;
};

/// Every front of the lines' paths that has all its lines in one place.
std::vector<Part> partsOfAll(const std::vector<std::vector<std::string>> &scopes) {
  std::map<std::vector<std::string>, Part> parts;
  std::set<std::vector<std::string>> torn;
  for (size_t at = 0; at < scopes.size(); ++at) {
    std::vector<std::string> path;
    for (const std::string &part : scopes[at]) {
      path.push_back(part);
      auto [found, isNew] = parts.try_emplace(path, Part{path, at, at});
      if (!isNew && found->second.end != at)
        torn.insert(path);
      found->second.end = at + 1;
    }
  }
  std::vector<Part> out;
  for (auto &[path, part] : parts)
    if (!torn.contains(path))
      out.push_back(std::move(part));
  return out;
}

/// Parts of modules that repeat as they are: these become a module whole.
std::set<std::vector<std::string>> insideRepeats(const std::vector<Part> &parts, const std::vector<Words> &words) {
  std::map<std::vector<int64_t>, std::set<size_t>> places; // where such forms begin
  auto formsOf = [&](const Part &part) {
    std::vector<int64_t> forms;
    for (size_t at = part.begin; at < part.end; ++at)
      forms.push_back(words[at].form);
    return forms;
  };
  for (const Part &part : parts)
    places[formsOf(part)].insert(part.begin);
  std::set<std::vector<std::string>> repeated, out;
  for (const Part &part : parts)
    if (places[formsOf(part)].size() >= 3)
      repeated.insert(part.path);
  for (const Part &part : parts)
    for (std::vector<std::string> path = part.path; path.size() > 1;) {
      path.pop_back();
      if (repeated.contains(path))
        out.insert(part.path);
    }
  return out;
}
} // namespace

/// The parts that are of one kind, as instances; nothing where they say the same.
static std::optional<Candidate> alike(std::vector<Part> parts, const std::vector<Words> &words) {
  std::sort(parts.begin(), parts.end(), [](const Part &a, const Part &b) {
    auto rank = [](const Part &one) { // of modules with the same lines, the innermost element of a list
      return std::tuple(one.begin, !isNumber(one.path.back()), SIZE_MAX - one.path.size());
    };
    return rank(a) < rank(b);
  });
  Candidate out;
  bool varies = false;
  size_t done = 0;
  for (const Part &part : parts) {
    if (part.begin < done) // a module with all of its lines in a part of it
      continue;
    done = part.end;
    out.paths.push_back(part.path);
    out.instances.emplace_back();
    for (size_t at = part.begin; at < part.end; ++at) {
      out.instances.back().push_back(at);
      varies |= words[at].form != words[parts[0].begin + at - part.begin].form;
    }
  }
  return varies && out.instances.size() >= 2 ? std::optional(std::move(out)) : std::nullopt;
}

std::vector<Candidate> scopesAlike(const std::vector<Words> &words, const std::vector<std::vector<std::string>> &scopes,
                                   bool elements) {
  constexpr size_t kLeastLines = 4, kMost = 64;
  std::map<std::vector<int64_t>, std::vector<Part>> groups; // by what their lines say
  std::vector<Part> all = partsOfAll(scopes);
  const std::set<std::vector<std::string>> inside = insideRepeats(all, words);
  for (Part &part : all) {
    std::vector<int64_t> shapes;
    bool fits = part.end - part.begin >= kLeastLines && !inside.contains(part.path);
    for (size_t at = part.begin; fits && at < part.end; ++at) {
      fits = words[at].shape >= 0;
      shapes.push_back(words[at].shape);
    }
    if (fits)
      groups[shapes].push_back(std::move(part));
  }
  std::vector<Candidate> out;
  for (auto &[shapes, parts] : groups)
    if (std::optional<Candidate> one = alike(std::move(parts), words))
      if (isNumber(one->paths[0].back()) == elements)
        out.push_back(std::move(*one));
  auto rank = [](const Candidate &one) {
    return std::tuple(SIZE_MAX - one.instances.size() * one.instances[0].size(), one.instances[0][0]);
  };
  std::sort(out.begin(), out.end(), [&](const Candidate &a, const Candidate &b) { return rank(a) < rank(b); });
  out.resize(std::min(out.size(), kMost));
  return out;
}

} // namespace kiln::onnx
