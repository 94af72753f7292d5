// Sources opened, batches drawn and put into an entry's inputs.

#include "runtime/data/Feeder.h"

#include "runtime/data/Coding.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace kiln {

/// What the user names on the command line is meant from the current folder, even where the model's folder has the same
/// name: each of the paths (separated by commas) that exists becomes absolute.
static std::string fromHere(std::string paths) {
  std::string result;
  char folder[4096];
  if (!getcwd(folder, sizeof(folder)))
    return paths;
  while (true) {
    size_t comma = paths.find(',');
    std::string part = paths.substr(0, comma);
    result += !part.empty() && part[0] != '/' && fileExists(part) ? std::string(folder) + "/" + part : part;
    if (comma == std::string::npos)
      return result;
    result += ",";
    paths = paths.substr(comma + 1);
  }
}

/// The paths of a list with commas.
static std::vector<std::string> listed(const std::string &paths) {
  std::vector<std::string> list;
  for (size_t at = 0; at <= paths.size(); at = std::min(paths.find(',', at), paths.size()) + 1)
    list.push_back(paths.substr(at, paths.find(',', at) - at));
  return list;
}

Sources::Sources(const Manifest &manifest, std::map<std::string, std::string> overrides, uint32_t seed, Codings given,
                 bool trains)
    : specs_(manifest.data), labels_(manifest.labels), overrides_(std::move(overrides)), seed_(seed),
      given_(std::move(given)), trains_(trains), recipe_(manifest.stage) {
  for (const StageSpec &stage : manifest.stages)
    for (const SourceSpec &source : stage.data)
      if (stage.name != recipe_)
        shared_.insert(source.name);
  for (const auto &[name, path] : overrides_) {
    if (manifest.findSource(name) || replaceSplit(name, path))
      continue;
    NearestName nearest(name);
    std::string names;
    for (const SourceSpec &source : manifest.data) {
      nearest.consider(source.name);
      names += (names.empty() ? "" : ", ") + source.name;
    }
    fail("--data %s: the recipe has no data of that name%s; it has: %s", name.c_str(), nearest.hint().c_str(),
         names.empty() ? "none" : names.c_str());
  }
  for (const SourceSpec &spec : specs_)
    if (const Json *given = spec.options.find("given")) // by `kiln build --data`
      overrides_.try_emplace(spec.name, given->string());
  // Set by `kiln train MODEL.kiln`: the folder that the model stands in.
  if (const char *folder = std::getenv("KILN_MODEL_DIR"))
    folders_ = folder;
}

std::string Sources::recipeOf(const std::string &source) const { return shared_.contains(source) ? recipe_ : ""; }

bool Sources::replaceSplit(const std::string &name, const std::string &paths) {
  size_t dot = name.rfind('.');
  for (SourceSpec &spec : specs_)
    for (Split split : {Split::Validation, Split::Test})
      if (dot != std::string::npos && name.substr(0, dot) == spec.name && name.substr(dot + 1) == splitName(split)) {
        spec.options.put(splitName(split), Json::ofStrings(listed(fromHere(paths))));
        replaced_[spec.name] = name;
        return true;
      }
  return false;
}

void Sources::haveRoom(const std::string &input, int64_t classes) {
  if (classes > 0)
    rooms_[input] = static_cast<size_t>(classes);
}

void Sources::measureAll() {
  for (SourceSpec &spec : specs_) {
    if (auto part = replaced_.find(spec.name); part != replaced_.end())
      fail("--data %s: all rows of the data are read, not a part of them; name the file by --data %s=…",
           part->second.c_str(), spec.name.c_str());
    std::vector<std::string> paths = {spec.options.stringOr(spec.reader == "pairs" ? "source" : "", spec.path)};
    for (const char *second : {"target", "labels"}) // of the readers of two files
      if (const Json *path = spec.options.find(second); path && (spec.reader == "pairs" || spec.reader == "images"))
        paths.push_back(path->string());
    if (auto found = overrides_.find(spec.name); found != overrides_.end())
      paths = listed(fromHere(found->second));
    spec.options.put("validation", Json::ofStrings(paths));
    spec.options.put("test", Json::ofInteger(0));
    spec.options.put("whole", Json::ofInteger(1));
  }
}

Source &Sources::openRows(const std::string &name, const std::set<std::string> &fields) {
  for (SourceSpec &spec : specs_) {
    if (spec.name != name)
      continue;
    for (auto [option, field] : {std::pair("features", "features"),
                                 {"categories", "categories"},
                                 {"label", "label"},
                                 {"target", "target"},
                                 {"labels", "label"}})
      if (!fields.contains(field))
        spec.options.remove(option);
    if (spec.reader == "series" && !fields.contains("future"))
      spec.options.put("horizon", Json::ofInteger(0)); // the newest rows too, with nothing behind them
    if (!fields.contains("label"))
      spec.options.put("unlabelled", Json::ofInteger(1)); // pictures may lie in no class's folder
  }
  measureAll();
  return open(name);
}

Source &Sources::open(const std::string &name) {
  std::unique_ptr<Source> &source = open_[name];
  if (!source) {
    auto spec = std::find_if(specs_.begin(), specs_.end(), [&](const SourceSpec &one) { return one.name == name; });
    if (spec == specs_.end())
      fail("the recipe has no data '%s'", name.c_str());
    SourceContext context;
    context.spec = &*spec;
    if (auto found = overrides_.find(name); found != overrides_.end())
      context.override = fromHere(found->second);
    context.seed = seed_;
    context.folders = folders_;
    context.given = &given_;
    context.recipe = recipeOf(name);
    context.labels = &labels_;
    context.rooms = &rooms_;
    context.quiet = quiet_;
    context.trains = trains_;
    source = openSource(context);
  }
  return *source;
}

void Sources::addCodings(Codings &all) const {
  for (const auto &[name, source] : open_)
    if (source)
      source->addCodings(all, recipeOf(name));
}

Feeder::Feeder(Call &call, Sources &sources) { bind(call.entry().name, batchInputs(call), sources); }

Feeder::Feeder(TrainStep &step, Sources &sources) { bind(step.entry().name, step.inputs(), sources); }

void Feeder::bind(const std::string &entry, const std::vector<BatchInput> &inputs, Sources &sources) {
  for (const BatchInput &input : inputs)
    sources.haveRoom(input.argument->name, input.argument->below);
  for (const BatchInput &input : inputs)
    bind(entry, input, sources);
}

/// Every word, character or class that was found in data stands there: where the model has no rows for all of them,
/// that is told before anything is computed.
static void checkVocabulary(const Source &source, const std::string &field, const ArgumentSpec &argument) {
  std::optional<CodedNumbers> found = argument.below ? numbersOf(source, field) : std::nullopt;
  if (!found || found->count <= static_cast<size_t>(argument.below))
    return;
  fail("data '%s' has %zu different %s, and the model has room for %lld in '%s': build it with %zu%s%s",
       source.spec().name.c_str(), found->count, found->what, static_cast<long long>(argument.below),
       argument.name.c_str(), found->count, argument.belowBy.empty() ? " or more" : ": --set ",
       argument.belowBy.empty() ? "" : (argument.belowBy + "=" + std::to_string(found->count)).c_str());
}

void Feeder::bind(const std::string &entry, const BatchInput &input, Sources &sources) {
  const ArgumentSpec &argument = *input.argument;
  size_t dot = argument.name.find('.');
  if (dot == std::string::npos)
    fail("'%s' takes the input '%s', which no data source gives; use `run` with --input", entry.c_str(),
         argument.name.c_str());
  Source &source = sources.open(argument.name.substr(0, dot));
  std::string field = argument.name.substr(dot + 1);
  Fed *fed = nullptr;
  for (Fed &candidate : fed_)
    if (candidate.source == &source)
      fed = &candidate;
  if (!fed) {
    fed_.push_back({&source, std::vector<FieldBuffer>(source.spec().fields.size())});
    fed = &fed_.back();
  }
  bool found = false;
  for (size_t f = 0; f < fed->fields.size(); ++f) {
    if (source.spec().fields[f].name != field)
      continue;
    checkVocabulary(source, field, argument);
    FieldBuffer &buffer = fed->fields[f];
    buffer.dtype = argument.type.dtype;
    buffer.data = input.data;
    buffer.capacity = argument.bytes / static_cast<int64_t>(dtypeSize(argument.type.dtype));
    buffer.shape = input.shape;
    found = true;
  }
  if (!found)
    fail("data '%s' has no field '%s'", source.spec().name.c_str(), field.c_str());
}

int64_t Feeder::batches(Split split) const {
  int64_t least = fed_.empty() ? 1 : INT64_MAX;
  for (const Fed &fed : fed_)
    least = std::min(least, fed.source->batches(split));
  return least;
}

bool Feeder::hasSplits() const {
  for (const Fed &fed : fed_)
    if (!fed.source->hasSplits())
      return false;
  return true;
}

void Feeder::load(Split split, int64_t number) {
  for (Fed &fed : fed_)
    fed.source->load(split, number, fed.fields);
}

} // namespace kiln
