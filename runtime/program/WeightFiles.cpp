// Names put right, what is spare left out, and then all of it checked before a byte is taken.
#include "runtime/program/WeightFiles.h"

#include "runtime/program/StoredWeights.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>

namespace kiln {

bool matchesPattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, at = 0, star = std::string_view::npos, from = 0; // behind the last star, where the rest was tried
  while (at < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      from = at;
    } else if (p < pattern.size() && pattern[p] == name[at]) {
      ++p;
      ++at;
    } else if (star != std::string_view::npos) {
      p = star;
      at = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

namespace {

/// What PyTorch's modules keep among their weights and a model computes by itself.
bool isComputed(std::string_view name) {
  static constexpr std::string_view names[] = {
      "num_batches_tracked", "position_ids", "token_type_ids", "inv_freq", "masked_bias", "pe"};
  std::string_view last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  return std::find(std::begin(names), std::end(names), last) != std::end(names);
}

/// The files that an index names, each checked to lie beside it.
std::vector<std::string> shardsOf(const std::string &index) {
  Json json = Json::parse(MappedFile(index).text(), index);
  const Json *map = json.isObject() ? json.find("weight_map") : nullptr;
  if (!map || !map->isObject() || map->object().empty())
    fail("%s is no index of weights: it has no \"weight_map\"", index.c_str());
  std::set<std::string> names;
  for (const Json &member : map->object()) {
    if (!member.isString() || member.string().empty() || member.string().find('/') != std::string::npos)
      fail("%s: '%s' is in no file beside the index", index.c_str(), member.key().c_str());
    names.insert(member.string());
  }
  std::vector<std::string> paths;
  for (const std::string &name : names)
    paths.push_back((std::filesystem::path(index).parent_path() / name).string());
  return paths;
}

/// The names that the model knows a file's tensors by; empty for those that are not looked at.
class Renamer {
public:
  explicit Renamer(const WeightChoice &choice)
      : choice_(choice), used_(choice.strip.size() + choice.renames.size() + choice.ignore.size()) {}

  std::string operator()(std::string name, const std::string &prefix) {
    size_t rule = 0;
    for (const std::string &pattern : choice_.ignore)
      if (bool found = matchesPattern(pattern, name); used_[rule] = used_[rule] || found, ++rule, found)
        return "";
    for (std::string_view training : tensorsOfTraining())
      if (name.starts_with(training))
        return "";
    rule = choice_.ignore.size();
    bool stripped = false;
    for (const std::string &begin : choice_.strip) {
      if (!stripped && name.starts_with(begin)) {
        stripped = used_[rule] = true;
        name = name.substr(begin.size());
      }
      ++rule;
    }
    for (const auto &[from, to] : choice_.renames) {
      if (matchesPattern(from, name)) {
        used_[rule] = true;
        size_t star = from.find('*'), there = to.find('*'); // at most one each
        std::string part = star == std::string::npos ? "" : name.substr(star, name.size() - (from.size() - 1));
        name = there == std::string::npos ? to : to.substr(0, there) + part + to.substr(there + 1);
        break;
      }
      ++rule;
    }
    return prefix.empty() || name.empty() ? name : prefix + "." + name;
  }

  /// A rule that nothing follows is a mistake.
  void checkUsed() const {
    std::vector<std::string> rules;
    for (const std::string &pattern : choice_.ignore)
      rules.push_back("--ignore " + pattern);
    for (const std::string &begin : choice_.strip)
      rules.push_back("--strip " + begin);
    for (const auto &[from, to] : choice_.renames)
      rules.push_back("--rename " + from + "=" + to);
    for (size_t i = 0; i < rules.size(); ++i)
      if (!used_[i])
        fail("%s: no tensor of the weights is called so", rules[i].c_str());
  }

private:
  const WeightChoice &choice_;
  std::vector<bool> used_;
};

} // namespace

Safetensors openWeightFiles(const WeightChoice &choice) {
  std::vector<Safetensors> opened;
  std::vector<std::string> prefixes;
  for (const WeightChoice::File &file : choice.files) {
    bool isIndex = file.path.ends_with(".json");
    for (const std::string &path : isIndex ? shardsOf(file.path) : std::vector<std::string>{file.path}) {
      opened.push_back(Safetensors::open(path, choice.eightBits));
      prefixes.push_back(file.prefix);
    }
  }
  Renamer rename(choice);
  Safetensors joined = Safetensors::join(
      std::move(opened), [&](size_t file, const std::string &name) { return rename(name, prefixes[file]); });
  rename.checkUsed();
  return joined;
}

/// A second name of a tied weight, by its bytes. Numbers that are all one are alike by chance.
static bool isSecondName(const TensorView &one, const TensorView &other) {
  if (one.dtype != other.dtype || one.shape != other.shape)
    return false;
  MadeBytes made(one), otherMade(other);
  const TensorView &a = made.view, &b = otherMade.view;
  size_t width = dtypeSize(a.dtype);
  return a.bytes > width && std::memcmp(a.data, a.data + width, a.bytes - width) != 0 &&
         std::memcmp(a.data, b.data, a.bytes) == 0;
}

Safetensors withoutSpare(Safetensors file, const std::vector<TensorRequest> &requests) {
  std::set<std::string> wanted;
  for (const TensorRequest &request : requests)
    wanted.insert(request.name);
  std::set<std::string> spare;
  for (const TensorView &tensor : file.tensors())
    if (!wanted.contains(tensor.name) &&
        (isComputed(tensor.name) ||
         std::any_of(file.tensors().begin(), file.tensors().end(), [&](const TensorView &other) {
           return wanted.contains(other.name) && isSecondName(tensor, other);
         })))
      spare.insert(tensor.name);
  std::vector<Safetensors> one;
  one.push_back(std::move(file));
  return Safetensors::join(
      std::move(one), [&](size_t, const std::string &name) { return spare.contains(name) ? std::string() : name; });
}

namespace {

/// A name with a star for each number in it: 'layers.0.weight' and 'layers.1.weight' are one pattern.
std::string patternOf(const std::string &name) {
  std::string pattern;
  size_t begin = 0;
  while (begin <= name.size()) {
    size_t end = std::min(name.find('.', begin), name.size());
    std::string part = name.substr(begin, end - begin);
    bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    pattern += (begin ? "." : "") + (number ? "*" : part);
    begin = end + 1;
  }
  return pattern;
}

bool isZero(const TensorRequest &request) {
  size_t bytes = static_cast<size_t>(countElements(request.shape).value_or(0)) * dtypeSize(request.dtype);
  const auto *data = static_cast<const uint8_t *>(request.data);
  return data && bytes && std::all_of(data, data + bytes, [](uint8_t byte) { return byte == 0; });
}

/// A line for all tensors of a pattern, a type and a beginning.
std::vector<std::string> grouped(const std::vector<TensorRequest> &absent) {
  std::vector<std::pair<std::string, size_t>> kinds;
  for (const TensorRequest &request : absent) {
    std::string kind = "'" + patternOf(request.name) + "' (" + describeType(request.dtype, request.shape) +
                       (isZero(request) ? ", zeros" : "") + ")";
    auto same = std::find_if(kinds.begin(), kinds.end(), [&](const auto &other) { return other.first == kind; });
    if (same == kinds.end())
      kinds.emplace_back(kind, 1);
    else
      ++same->second;
  }
  std::vector<std::string> lines;
  for (const auto &[kind, count] : kinds)
    lines.push_back("  " + kind + (count > 1 ? format(", %zu of them", count) : ""));
  return lines;
}

/// Those requests that the file fits, and a note of the others in `lines`. Where the whole file went into the model,
/// what the model has beside it (adapters, a new head) is no fault, and is not told like one.
std::vector<TensorRequest> fitting(const Safetensors &file, const std::vector<TensorRequest> &requests,
                                   std::vector<std::string> &lines) {
  std::vector<TensorRequest> fit, absent;
  std::set<std::string> wanted;
  for (const TensorRequest &request : requests)
    wanted.insert(request.name);
  std::vector<std::string> faults;
  bool whole = true;
  for (const TensorRequest &request : requests) {
    if (!file.find(request.name)) {
      absent.push_back(request);
      faults.push_back("  " + missingTensor(file, request, wanted));
      continue;
    }
    std::vector<std::string> why = tensorMisfits(file, {request}, /*exact=*/false);
    if (why.empty())
      fit.push_back(request);
    whole &= why.empty();
    for (const std::string &line : why)
      faults.push_back("  " + line);
  }
  for (const TensorView &tensor : file.tensors())
    if (!wanted.contains(tensor.name)) {
      whole = false;
      faults.push_back("  '" + tensor.name + "' (" + describeType(tensor.dtype, tensor.shape) +
                       ") is not in the model");
    }
  if (fit.empty() && !requests.empty())
    fail("--partial: nothing of %s fits the model", file.what().c_str());
  if (whole && !absent.empty()) {
    lines = grouped(absent);
    lines.insert(lines.begin(), format("note: all %zu tensors of %s are in the model, which has %zu more; these begin "
                                       "anew, as its text says:",
                                       fit.size(), file.what().c_str(), absent.size()));
  } else if (!faults.empty()) {
    lines = std::move(faults);
    lines.insert(lines.begin(), "note: --partial: not all of it fits:");
  }
  return fit;
}

/// "model." where every name that is missing is there behind it.
std::string commonPrefix(const Safetensors &file, const std::vector<TensorRequest> &requests) {
  std::string prefix;
  for (const TensorRequest &request : requests) {
    if (file.find(request.name))
      continue;
    if (prefix.empty())
      for (const TensorView &tensor : file.tensors())
        if (tensor.name.ends_with("." + request.name))
          prefix = tensor.name.substr(0, tensor.name.size() - request.name.size());
    if (prefix.empty() || !file.find(prefix + request.name))
      return "";
  }
  return prefix;
}

/// What is asked of the file, and the copies in the model that it knows nothing of.
std::pair<std::vector<TensorRequest>, std::vector<TensorRequest>>
withoutCopies(const Safetensors &file, const std::vector<TensorRequest> &requests) {
  std::vector<TensorRequest> asked, copies;
  for (const TensorRequest &request : requests)
    (request.original.empty() || file.find(request.name) ? asked : copies).push_back(request);
  return {asked, copies};
}

void fillCopies(const std::vector<TensorRequest> &copies, const std::vector<TensorRequest> &requests) {
  for (const TensorRequest &copy : copies)
    for (const TensorRequest &original : requests)
      if (original.name == copy.original)
        std::memcpy(copy.data, original.data,
                    static_cast<size_t>(countElements(copy.shape).value_or(0)) * dtypeSize(copy.dtype));
}

std::vector<std::string> each(const WeightChoice &choice, const std::vector<TensorRequest> &requests, bool fill) {
  Safetensors file = withoutSpare(openWeightFiles(choice), requests);
  if (StoredTypes types = storedTypes(requests); makesBlocks(types, file))
    file = fill ? storeAs(types, std::move(file)) : typesAs(types, file);
  std::vector<std::string> lines;
  auto [asked, copies] = withoutCopies(file, requests);
  std::vector<TensorRequest> taken = choice.partial ? fitting(file, asked, lines) : asked;
  try {
    if (!fill) {
      checkTensors(file, taken, /*exact=*/!choice.partial);
    } else {
      loadTensors(file, taken, /*exact=*/!choice.partial);
      fillCopies(copies, requests);
    }
  } catch (const Error &error) {
    std::string help, prefix = commonPrefix(file, taken);
    if (!prefix.empty())
      help = "the names begin with '" + prefix + "' there: --strip " + prefix;
    else if (!choice.partial && std::any_of(taken.begin(), taken.end(), [&](const TensorRequest &request) {
               return tensorMisfits(file, {request}, /*exact=*/false).empty();
             }))
      help = "--partial (in a recipe: load(…, partial=True)) takes what fits; the rest begins anew";
    throw help.empty() ? error : Error(std::string(error.what()) + "\nhelp: " + help);
  }
  return lines;
}

} // namespace

std::vector<std::string> loadWeightFiles(const WeightChoice &choice, const std::vector<TensorRequest> &requests) {
  return each(choice, requests, true);
}

std::vector<std::string> checkWeightFiles(const WeightChoice &choice, const std::vector<TensorRequest> &requests) {
  return each(choice, requests, false);
}

} // namespace kiln
