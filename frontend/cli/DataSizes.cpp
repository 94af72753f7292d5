// How many words, characters or classes the data or the weights have that a program is given.
#include "frontend/cli/DataSizes.h"

#include "frontend/cli/GivenInputs.h"
#include "frontend/driver/DataNames.h"
#include "runtime/data/Coding.h"
#include "runtime/data/Feeder.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

/// Of the files before the others.
Codings codingsOf(const std::vector<std::string> &weights) {
  Codings all;
  for (const std::string &path : weights)
    if (path.ends_with(".safetensors")) {
      Codings more = codingsIn(Safetensors::open(path).metadata());
      all.merge(more);
    }
  return all;
}

class Reading {
public:
  Reading(const std::vector<SizedInput> &inputs, const std::vector<std::string> &weights, bool fixed, DataSizes &sizes)
      : inputs_(inputs), fixed_(fixed), weights_(!weights.empty()), sizes_(sizes), given_(codingsOf(weights)) {}

  /// Of the manifest's recipe: its data where `overrides` name a file for them, else what the weights say.
  void read(const Manifest &manifest, const std::map<std::string, std::string> &overrides) {
    std::map<std::string, std::string> own;
    for (bool all : {true, false}) // what is said of one recipe comes after what is said of all
      for (const auto &[name, path] : overrides)
        for (const SourceSpec &source : manifest.data)
          if (std::string part = dataPart(name, manifest.stage, source.name); !part.empty() && (part == name) == all)
            own[part] = path, known_.insert(name);
    Sources sources(unbound(manifest), own, 0, given_, /*trains=*/true);
    sources.beQuiet(); // the program opens them, too
    for (const SizedInput &input : inputs_)
      if (input.suffix == manifest.suffix)
        sources.haveRoom(input.name, input.below);
    for (const SizedInput &input : inputs_) {
      std::string source = input.name.substr(0, input.name.find('.'));
      if (input.by.empty() || input.suffix != manifest.suffix || !manifest.findSource(source))
        continue;
      bool opened = own.contains(source);
      std::string field = input.name.substr(source.size() + 1);
      std::optional<CodedNumbers> given = numbersOf(given_, manifest.stage + "." + input.name); // this recipe's
      if (!given)
        given = numbersOf(given_, input.name);
      bool named = weights_ && static_cast<int64_t>(manifest.labels.size()) == input.below; // by the model's text
      if (opened && !(fixed_ && (given || named))) {
        if (auto found = numbersOf(sources.open(source), field))
          need(input, *found, "data '" + source + "' has", newClass(sources.open(source), field, manifest));
      } else if (given) {
        need(input, *given, "the weights have, for '" + input.name + "',");
      }
    }
  }

  /// Throws Error for a name that is no recipe's.
  void checkNames(const Manifest &manifest, const std::map<std::string, std::string> &overrides) const {
    for (const auto &[name, path] : overrides)
      if (!known_.contains(name))
        Sources(manifest, {{name, path}}, 0);
  }

private:
  /// Without a bound on named classes (`classes=classes`) that is the very argument which is to grow. In columns of a
  /// file a number says that labels are numbers.
  Manifest unbound(Manifest manifest) const {
    for (SourceSpec &source : manifest.data)
      for (const SizedInput &input : inputs_)
        if (const Json *classes = source.options.find("classes");
            classes && classes->isInt() && source.reader != "csv" && source.reader != "table" && !input.by.empty() &&
            input.suffix == manifest.suffix && input.below == classes->integer() &&
            input.name.starts_with(source.name + "."))
          source.options.remove("classes");
    return manifest;
  }

  /// A class of the data that those before do not have, for people; empty where there are none before.
  std::string newClass(const Source &source, const std::string &field, const Manifest &manifest) const {
    std::string key = classesPrefix + source.spec().name + "." + field;
    auto own = source.codings().find(key), before = given_.find(ownCoding(key, manifest.stage));
    if (before == given_.end())
      before = given_.find(key);
    std::vector<std::string> known = before == given_.end() ? manifest.labels : classesIn(before->second, key);
    if (own == source.codings().end() || known.empty())
      return "";
    for (const std::string &one : classesIn(own->second, key))
      if (std::find(known.begin(), known.end(), one) == known.end())
        return format(" ('%s' is none of the %s %zu)", one.c_str(), before == given_.end() ? "model's" : "weights'",
                      known.size());
    return "";
  }

  void need(const SizedInput &input, const CodedNumbers &found, const std::string &who, const std::string &why = "") {
    if (int64_t count = static_cast<int64_t>(found.count); count > input.below)
      sizes_.needed.push_back(
          {&input, count, format("%s %zu different %s%s", who.c_str(), found.count, found.what, why.c_str())});
  }

  const std::vector<SizedInput> &inputs_;
  bool fixed_, weights_;
  DataSizes &sizes_;
  Codings given_;
  std::set<std::string> known_;
};

} // namespace

bool sayWhatTheyKnow(const std::vector<std::string> &weights) {
  try {
    return !codingsOf(weights).empty();
  } catch (const std::exception &) {
    return false; // the compile, or the program, says why
  }
}

DataSizes sizesForData(const std::string &manifestText, const std::vector<SizedInput> &inputs,
                       const std::vector<std::string> &data, const std::vector<std::string> &weights, bool fixed) {
  DataSizes sizes;
  try {
    Manifest manifest = Manifest::parse(manifestText);
    std::map<std::string, std::string> overrides = dataPaths(data);
    Reading reading(inputs, weights, fixed, sizes);
    std::vector<std::string> stages;
    for (const StageSpec &stage : manifest.stages)
      if (!stage.isSeries())
        stages.push_back(stage.name);
    if (stages.empty())
      reading.read(manifest, overrides);
    for (const std::string &stage : stages) {
      manifest.chooseStage(stage);
      reading.read(manifest, overrides);
    }
    reading.checkNames(manifest, overrides);
  } catch (const std::exception &error) {
    sizes.error = error.what();
  }
  return sizes;
}

} // namespace kiln
