// The sizes of open dimensions. Many graphs are right for some sizes alone, and no file says so: a network that halves
// its image and doubles it again is for multiples, an exporter's example has left its numbers. Such sizes are looked
// for by importing again with them.
#include "frontend/onnx/Sizes.h"

#include "frontend/onnx/Importer.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace kiln::onnx {

static constexpr int64_t kBatch = 8;

static bool holds(const std::string &text, std::initializer_list<const char *> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char *word) { return text.find(word) != std::string::npos; });
}

int64_t likelySize(const ValueInfo &input, size_t axis) {
  constexpr int64_t kWords = 512, kSide = 640, kVoxels = 64;
  constexpr int64_t kSamples = 480000; // half a minute at 16 kHz
  auto lower = [](std::string text) {
    for (char &c : text)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  const std::string dim = lower(input.shape[axis].name), name = lower(input.name);
  const size_t rank = input.shape.size();
  if (holds(dim, {"batch"}) || dim == "b")
    return kBatch;
  if (holds(dim, {"height", "width"}))
    return kSide;
  if (holds(dim, {"seq", "len", "time", "token", "frame", "step"}) || dim == "t" || dim == "s")
    return kWords;
  if (axis == 0 && rank > 1)
    return kBatch;
  bool isFloats = input.type == kFloat || input.type == kFloat16 || input.type == kDouble || input.type == kBfloat16;
  auto isColours = [&](size_t at) { return at < rank && input.shape[at].size >= 1 && input.shape[at].size <= 4; };
  if (rank == 4 && (axis == 2 || axis == 3 || (axis == 1 && isColours(3))))
    return kSide;
  if (rank == 3 && (isColours(0) ? axis > 0 : isColours(2) && input.type == kUint8))
    return kSide;
  if (rank == 5 && axis > 1)
    return kVoxels;
  if (isFloats && rank <= 3 && holds(name + " " + dim, {"wav", "audio", "sample", "speech", "signal", "pcm"}))
    return kSamples;
  return kWords;
}

std::optional<Sizes> sizesWhere(const Dim &dim, int64_t number) {
  constexpr int64_t kLooked = 1 << 14;
  std::vector<std::string> symbols = dim.symbols();
  if (symbols.size() != 1)
    return std::nullopt;
  auto isSo = [&](int64_t size) { return dim.evaluate({{symbols[0], size}}) == number; };
  int64_t least = 1;
  while (least <= kLooked && !isSo(least))
    ++least;
  if (least > kLooked)
    return std::nullopt;
  int64_t most = least;
  while (most <= kLooked && isSo(most + 1))
    ++most;
  return Sizes{least, most};
}

/// rest + factor * symbol, with numbers for both.
static std::optional<std::pair<int64_t, int64_t>> linear(const Dim &dim) {
  std::vector<std::string> symbols = dim.symbols();
  if (symbols.size() != 1)
    return std::nullopt;
  Dim rest = dim.substitute({{symbols[0], Dim(0)}}), factor = dim.substitute({{symbols[0], Dim(1)}}) - rest;
  if (!rest.constant() || !factor.constant() || dim != rest + factor * Dim::symbol(symbols[0]))
    return std::nullopt;
  return std::pair(*rest.constant(), *factor.constant());
}

void Importer::needNonNegative(const Dim &dim, int64_t most) {
  auto parts = linear(dim);
  if (!parts || parts->second < 1 || isNonNegative(dim))
    return;
  const auto [number, times] = *parts;
  if (int64_t least = (-number + times - 1) / times; least > 1 && least <= most)
    throw ImpliedBound{dim.symbols()[0], 0, least};
}

void Importer::needAtMost(const Dim &dim) {
  auto parts = linear(dim);
  if (parts && parts->second < 0 && parts->first >= -parts->second && !isNonNegative(dim))
    throw ImpliedBound{dim.symbols()[0], parts->first / -parts->second, 0, "what is longer would be cut"};
}

bool Importer::isEqual(const Dim &dim, int64_t number) const {
  std::vector<std::string> symbols = dim.symbols();
  auto most = symbols.size() == 1 ? options_.bounds.find(symbols[0]) : options_.bounds.end();
  if (most == options_.bounds.end())
    return dim == Dim(number);
  std::optional<Sizes> sizes = sizesWhere(dim, number);
  auto least = options_.least.find(symbols[0]);
  return sizes && most->second <= sizes->most && (least == options_.least.end() ? 1 : least->second) >= sizes->least;
}

bool Importer::needEqual(const Dim &dim, int64_t number) {
  if (isEqual(dim, number))
    return true;
  if (std::optional<Sizes> sizes = sizesWhere(dim, number))
    throw ImpliedBound{dim.symbols()[0], sizes->most, sizes->least > 1 ? sizes->least : 0,
                       "with more the graph is another"};
  return false;
}

bool isOfDim(const std::string &problem, const std::string &dim) {
  bool found = false;
  eachName(problem.substr(problem.rfind(": ") + 1), [&](const std::string &word, size_t) { found |= word == dim; });
  return found;
}

/// "B (axis 0 of x) and H (axis 2 of x)"
static std::string listed(const std::vector<OpenDim> &dims) {
  std::string out;
  for (size_t i = 0; i < dims.size(); ++i)
    out += (i == 0 ? "" : i + 1 == dims.size() ? " and " : ", ") + dims[i].name + " (" + dims[i].where + ")";
  return out;
}

std::vector<std::string> settleNames(const Model &model, ImportOptions &options) {
  std::vector<std::string> problems;
  auto settle = [&](auto &given, const char *option, const std::vector<OpenDim> &dims, auto textOf) {
    auto settled = given;
    settled.clear();
    for (const auto &[name, value] : given) {
      auto known = std::find_if(dims.begin(), dims.end(), [&](const OpenDim &dim) { return dim.name == name; });
      if (known == dims.end())
        known = std::find_if(dims.begin(), dims.end(), [&](const OpenDim &dim) { return dim.theirs == name; });
      if (known != dims.end())
        settled.emplace(known->name, value);
      else
        problems.push_back("--" + std::string(option) + " " + name + "=" + textOf(value) +
                           ": the model has no open dimension '" + name + "'; " +
                           (dims.empty() ? "all of its sizes are numbers" : "it has " + listed(dims)));
    }
    given = std::move(settled);
  };
  ImportOptions plain = options;
  plain.dims.clear();
  if (!options.dims.empty())
    settle(options.dims, "dim", Importer(model, plain).openDims(), [](const std::string &text) { return text; });
  if (!options.bounds.empty())
    settle(options.bounds, "bound", Importer(model, options).openDims(), [](int64_t n) { return std::to_string(n); });
  return problems;
}

/// What a problem says of sizes, without the advice that stands behind it.
static std::string sentenceOf(const std::string &problem) {
  std::string sentence = problem.substr(0, problem.find("; if the graph is for some sizes"));
  return sentence.substr(sentence.rfind(": ") + 1);
}

/// The dimensions that the first problem of one is of; a batch, whose multiples are the last to think of, behind
/// others.
static std::vector<std::string> dimsOfProblem(const Imported &imported, const ImportOptions &options) {
  std::vector<std::string> first, batches;
  for (const std::string &problem : imported.problems) {
    for (const OpenDim &dim : imported.dims)
      if (!options.dims.contains(dim.name) && isOfDim(sentenceOf(problem), dim.name))
        (dim.likely == kBatch ? batches : first).push_back(dim.name);
    first.insert(first.end(), batches.begin(), batches.end());
    if (!first.empty())
      break;
  }
  return first;
}

/// Of "K is not 5" and "P is not M" (or "not shown to be"), where these are dimensions by themselves: what would agree.
/// Of two, the one that comes first stays.
static std::optional<std::pair<std::string, std::string>> wantedBy(const std::string &problem,
                                                                   const std::vector<OpenDim> &dims) {
  const std::string sentence = sentenceOf(problem), sign = " is not ", shown = "shown to be ";
  size_t at = sentence.rfind(sign);
  if (at == std::string::npos)
    return std::nullopt;
  size_t begin = sentence.rfind(' ', at - 1), behind = at + sign.size();
  begin = at == 0 || begin == std::string::npos ? 0 : begin + 1;
  behind += sentence.compare(behind, shown.size(), shown) == 0 ? shown.size() : 0;
  std::string left = sentence.substr(begin, at - begin), right = sentence.substr(behind);
  auto placeOf = [&](const std::string &name) {
    return std::find_if(dims.begin(), dims.end(), [&](const OpenDim &dim) { return dim.name == name; }) - dims.begin();
  };
  auto isDim = [&](const std::string &name) { return placeOf(name) < static_cast<int64_t>(dims.size()); };
  auto isNumber = [](const std::string &text) {
    return !text.empty() && text.size() < 10 && text[0] != '0' &&
           text.find_first_not_of("0123456789") == std::string::npos;
  };
  if (isNumber(left))
    std::swap(left, right);
  if (isDim(left) && isDim(right) && placeOf(left) < placeOf(right))
    std::swap(left, right);
  return isDim(left) && left != right && (isNumber(right) || isDim(right)) ? std::optional(std::pair(left, right))
                                                                           : std::nullopt;
}

/// Dimensions that are divided, as `floordiv(H, 4)`, with what they would be multiples of.
static std::map<std::string, std::string> dividedIn(const std::string &problem, const std::vector<OpenDim> &dims) {
  const std::string sentence = sentenceOf(problem);
  std::map<std::string, std::string> out;
  for (const OpenDim &dim : dims)
    if (size_t at = sentence.find("floordiv(" + dim.name + ", "); at != std::string::npos) {
      size_t begin = at + 9 + dim.name.size() + 2, end = sentence.find_first_not_of("0123456789", begin);
      if (end != std::string::npos && end > begin && sentence[end] == ')')
        out[dim.name] = sentence.substr(begin, end - begin) + "*" + dim.name;
    }
  return out;
}

/// Has dimensions be what the problems say outright that they have to be. False where they say no such thing.
static bool takeWanted(const Imported &imported, ImportOptions &options) {
  bool isNew = false;
  for (const std::string &problem : imported.problems) {
    std::map<std::string, std::string> wanted = dividedIn(problem, imported.dims);
    auto equal = wantedBy(problem, imported.dims);
    if (equal)
      wanted.insert(*equal);
    for (const auto &[dim, size] : wanted)
      if (!options.bounds.contains(dim) && options.dims.try_emplace(dim, size).second) {
        isNew = true;
        if (equal && equal->first == dim) // what is equal to others may be so by this already
          return true;
      }
  }
  return isNew;
}

/// Has `dim` be the multiple with which the problem is gone, or another dimension's. False where none is.
static bool tryMultiples(const Model &model, ImportOptions &options, const std::string &dim, Imported &imported) {
  static constexpr int64_t kPowers[] = {2, 4, 8, 16, 32, 64},
                           kOthers[] = {3, 6, 12, 24, 48, 96, 5, 10, 20, 7, 14, 28, 56, 112, 224};
  constexpr size_t kLarge = 1500; // nodes: of what takes long to read, the likely ones alone
  std::vector<int64_t> multiples(std::begin(kPowers), std::end(kPowers));
  if (model.graph.nodes.size() < kLarge)
    multiples.insert(multiples.end(), std::begin(kOthers), std::end(kOthers));
  for (int64_t times : multiples) {
    ImportOptions wanted = options;
    wanted.dims[dim] = std::to_string(times) + "*" + dim; // bounds count multiples, as where --dim says so
    Imported tried = importModel(model, wanted);
    bool isGone = true, isOther = false;
    for (const std::string &problem : tried.problems)
      for (const OpenDim &other : tried.dims)
        if (isOfDim(sentenceOf(problem), other.name))
          (other.name == dim ? isGone : isOther) = other.name != dim;
    if (!tried.problems.empty() && !(isGone && isOther))
      continue;
    options = std::move(wanted);
    imported = std::move(tried);
    return true;
  }
  return false;
}

Imported importFitting(const Model &model, ImportOptions &options, std::map<std::string, std::string> &added) {
  Imported first = importModel(model, options);
  if (first.problems.empty())
    return first;
  ImportOptions fitting = options;
  Imported imported = first;
  constexpr int kRounds = 6;
  for (int round = 0; round < kRounds && !imported.problems.empty(); ++round) {
    bool isNew = false;
    for (const auto &[dim, size] : imported.exact) {
      auto bound = fitting.bounds.find(dim);
      if (fitting.dims.contains(dim) || (bound != fitting.bounds.end() && bound->second < size))
        continue;
      if (bound != fitting.bounds.end())
        fitting.bounds.erase(bound);
      fitting.dims[dim] = std::to_string(size);
      isNew = true;
    }
    ImportOptions wanted = fitting;
    if (!isNew && takeWanted(imported, wanted)) {
      Imported tried = importModel(model, wanted);
      if (tried.problems.empty() || tried.problems.front() != imported.problems.front()) {
        fitting = std::move(wanted);
        imported = std::move(tried);
        continue;
      }
    }
    if (isNew) {
      imported = importModel(model, fitting);
      continue;
    }
    std::vector<std::string> dims = dimsOfProblem(imported, fitting);
    if (std::none_of(dims.begin(), dims.end(),
                     [&](const std::string &dim) { return tryMultiples(model, fitting, dim, imported); }))
      return first;
  }
  if (!imported.problems.empty())
    return first;
  for (const auto &[dim, size] : fitting.dims)
    if (!options.dims.contains(dim))
      added[dim] = size;
  options = std::move(fitting);
  return imported;
}

} // namespace kiln::onnx
