// JSON to structs; whatever is missing or out of range is named.

#include "runtime/program/Manifest.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace kiln {

namespace {

constexpr std::pair<const char *, Role> roles[] = {
    {"input", Role::Input},   {"parameter", Role::Parameter}, {"state", Role::State},
    {"seed", Role::Seed},     {"step", Role::Step},           {"loss", Role::Loss},
    {"metric", Role::Metric}, {"output", Role::Output},       {"gradient", Role::Gradient},
    {"part", Role::Part},     {"weight", Role::Weight},       {"arranged", Role::Arranged}};

Dim parseDim(const Json &json) {
  if (json.isInt())
    return Dim(json.integer(0, INT64_MAX));
  std::optional<Dim> dim = Dim::parse(json.string());
  if (!dim)
    fail("'%s': '%s' is not a dimension", json.key().c_str(), json.string().c_str());
  return *dim;
}

TypeSpec parseType(const Json &json) {
  TypeSpec type;
  const std::string &dtype = json.at("dtype").string();
  std::optional<kiln_dtype> known = dtypeFromName(dtype);
  if (!known)
    fail("'dtype': unknown dtype '%s'", dtype.c_str());
  type.dtype = *known;
  if (const Json *shape = json.find("shape")) {
    if (shape->array().size() > 16)
      fail("'shape': more than 16 dimensions");
    for (const Json &dim : shape->array())
      type.shape.push_back(parseDim(dim));
  }
  return type;
}

Json copyOf(const Json &json, std::string_view key) {
  const Json *found = json.find(key);
  return found ? *found : Json();
}

ArgumentSpec parseArgument(const Json &json, const EntrySpec &entry) {
  ArgumentSpec argument;
  const std::string &role = json.at("role").string();
  const std::pair<const char *, Role> *known = nullptr;
  for (const auto &candidate : roles)
    if (role == candidate.first)
      known = &candidate;
  if (!known)
    fail("'role': unknown role '%s'", role.c_str());
  argument.role = known->second;
  argument.name = json.stringOr("name", "");
  argument.type = parseType(json);
  argument.bytes = json.at("bytes").integer(0, INT64_MAX);
  argument.donated = json.booleanOr("donated", false);
  argument.below = json.integerOr("below", 0);
  argument.belowBy = json.stringOr("below_by", "");
  if (argument.role == Role::Arranged) {
    std::vector<size_t> axes;
    for (const Json &axis : json.at("order").array()) {
      argument.order.push_back(static_cast<size_t>(axis.integer(0, 15)));
      axes.push_back(axes.size());
    }
    if (!std::is_permutation(axes.begin(), axes.end(), argument.order.begin(), argument.order.end()) ||
        axes.size() != argument.type.shape.size())
      fail("'order': not each axis once");
    return argument;
  }
  argument.result = json.booleanOr("result", argument.role >= Role::Loss ||
                                                 entry.find(argument.role, argument.name, false) != nullptr);
  return argument;
}

EntrySpec parseEntry(const Json &json) {
  EntrySpec entry;
  entry.name = json.at("name").string();
  for (const Json &symbol : json.at("symbols").array()) {
    SymbolSpec spec;
    spec.name = symbol.at("name").string();
    spec.least = symbol.integerOr("min", 1);
    spec.limit = symbol.integerOr("limit", 0);
    spec.limitName = symbol.stringOr("limit_name", "");
    spec.bound = symbol.at("bound").integer(spec.least, INT64_MAX);
    entry.symbols.push_back(std::move(spec));
  }
  for (const Json &argument : json.at("arguments").array())
    entry.arguments.push_back(parseArgument(argument, entry));
  for (const Json &extent : json.at("extents").array()) {
    if (extent.isString() && extent.string().starts_with("@")) {
      ++entry.loopSlots;
      continue;
    }
    if (entry.loopSlots > 0)
      fail("'extents': an expression after a loop's slot");
    entry.extents.push_back(parseDim(extent));
  }
  if (entry.extents.size() < entry.symbols.size())
    fail("'extents': fewer than there are symbols");
  for (size_t i = 0; i < entry.symbols.size(); ++i)
    if (entry.extents[i] != Dim::symbol(entry.symbols[i].name))
      fail("'extents': entry %zu is not the symbol '%s'", i, entry.symbols[i].name.c_str());
  std::set<std::string> symbols;
  for (const SymbolSpec &symbol : entry.symbols)
    symbols.insert(symbol.name);
  auto check = [&](const Dim &dim) {
    for (const std::string &name : dim.symbols())
      if (!symbols.contains(name))
        fail("entry '%s' uses the unknown symbol '%s'", entry.name.c_str(), name.c_str());
  };
  for (const Dim &extent : entry.extents)
    check(extent);
  for (const ArgumentSpec &argument : entry.arguments)
    for (const Dim &dim : argument.type.shape)
      check(dim);
  if (const Json *nonEmpty = json.find("nonempty"))
    for (const Json &dim : nonEmpty->array()) {
      entry.nonEmpty.push_back(parseDim(dim));
      check(entry.nonEmpty.back());
    }
  entry.arenaBytes = json.at("arena").integer(0, INT64_MAX);
  entry.lowerBound = json.integerOr("lower_bound", 0);
  entry.plan = json.at("plan");
  if (const Json *zones = json.find("red_zones"))
    for (const Json &zone : zones->array()) {
      const std::vector<Json> &parts = zone.array();
      if (parts.size() != 3)
        fail("'red_zones': a zone is [offset, bytes, the buffer before it]");
      int64_t offset = parts[0].integer(0, entry.arenaBytes);
      entry.redZones.push_back({offset, parts[1].integer(0, entry.arenaBytes - offset), parts[2].string()});
    }
  return entry;
}

void parseTensors(const Json &root, Manifest &manifest) {
  for (const Json &json : root.at("parameters").array()) {
    ParameterSpec parameter;
    parameter.name = json.at("name").string();
    parameter.type = parseType(json);
    for (const Dim &dim : parameter.type.shape)
      if (!dim.isConstant())
        fail("parameter '%s' has a dimension that is not constant", parameter.name.c_str());
    parameter.trainable = json.booleanOr("trainable", true);
    parameter.init = copyOf(json, "init");
    manifest.parameters.push_back(std::move(parameter));
  }
  for (const Json &json : root.at("states").array()) {
    StateSpec state;
    state.name = json.at("name").string();
    state.type = parseType(json);
    state.kind = json.at("kind").string();
    if (state.kind != "persistent" && state.kind != "session" && state.kind != "optimizer")
      fail("state '%s' has the unknown kind '%s'", state.name.c_str(), state.kind.c_str());
    state.batchAxis = static_cast<int>(json.integerOr("batch_axis", -1));
    if (state.batchAxis < -1 || state.batchAxis >= static_cast<int>(state.type.shape.size()))
      fail("state '%s' has a batch axis beyond its shape", state.name.c_str());
    state.init = copyOf(json, "init");
    manifest.states.push_back(std::move(state));
  }
}

std::vector<SourceSpec> parseData(const Json &root) {
  std::vector<SourceSpec> sources;
  const Json *data = root.find("data");
  if (!data)
    return sources;
  for (const Json &json : data->array()) {
    SourceSpec source;
    source.name = json.at("name").string();
    source.reader = json.at("reader").string();
    source.path = json.stringOr("path", "");
    source.options = copyOf(json, "options");
    for (const Json &field : json.at("fields").array())
      source.fields.push_back({field.at("name").string(), parseType(field)});
    sources.push_back(std::move(source));
  }
  return sources;
}

void parseStages(const Json &root, Manifest &manifest) {
  const Json *stages = root.find("stages");
  if (!stages)
    return;
  for (const Json &json : stages->array()) {
    StageSpec stage;
    stage.name = json.at("name").string();
    stage.rounds = json.find("rounds") ? json.at("rounds").integer(1, 1000000) : 1;
    if (const Json *series = json.find("stages"))
      for (const Json &name : series->array())
        stage.stages.push_back(name.string());
    bool first = !stage.isSeries() && !json.find("train"); // it stands at the top
    stage.suffix = first ? "" : "." + stage.name;
    stage.train = copyOf(first ? root : json, "train");
    stage.data = parseData(first ? root : json);
    if (first)
      manifest.stage = stage.name;
    manifest.stages.push_back(std::move(stage));
  }
  for (const StageSpec &series : manifest.stages)
    for (const std::string &name : series.stages)
      if (const StageSpec *stage = manifest.findStage(name); !stage || stage->isSeries())
        fail("'stages': '%s' names '%s', which is none", series.name.c_str(), name.c_str());
}

KernelSpec::Output parseKernelOutput(const Json &json, size_t ops) {
  KernelSpec::Output output;
  std::optional<kiln_dtype> dtype = dtypeFromName(json.at("dtype").string());
  if (!dtype)
    fail("'outputs': unknown dtype '%s'", json.at("dtype").string().c_str());
  output.dtype = *dtype;
  for (const Json &dim : json.at("dims").array()) {
    if (dim.array().size() != 2)
      fail("'dims': an extent is [value, slot]");
    output.dims.push_back({dim.array()[0].integer(), static_cast<int32_t>(dim.array()[1].integer(-1, INT32_MAX))});
  }
  if (const Json *op = json.find("op"))
    output.op = op->integer(0, static_cast<int64_t>(ops) - 1);
  return output;
}

std::vector<KernelSpec::Term> parseCost(const Json &json) {
  std::vector<KernelSpec::Term> terms;
  for (const Json &one : json.array()) {
    KernelSpec::Term term{one.array().empty() ? 0 : one.array()[0].number(), {}};
    for (size_t i = 1; i < one.array().size(); ++i)
      term.slots.push_back(static_cast<size_t>(one.array()[i].integer(0, INT32_MAX)));
    terms.push_back(std::move(term));
  }
  return terms;
}

void parseKernels(const Json &root, Manifest &manifest) {
  if (const Json *backends = root.find("backends"))
    for (const Json &name : backends->array())
      manifest.backends.push_back(name.string());
  if (const Json *options = root.find("backend_options"))
    for (const Json &backend : options->object())
      for (const Json &option : backend.object())
        manifest.backendOptions[backend.key()].emplace_back(option.key(), option.string());
  for (const Json &json : root.at("kernels").array()) {
    KernelSpec kernel;
    kernel.name = json.at("name").string();
    if (const Json *ops = json.find("ops"))
      for (const Json &op : ops->array())
        kernel.ops.push_back({op.stringOr("name", ""), op.stringOr("location", "")});
    if (const Json *dtype = json.find("narrowest"))
      if (kernel.narrowest = dtypeFromName(dtype->string()); !kernel.narrowest)
        fail("'narrowest': unknown dtype '%s'", dtype->string().c_str());
    kernel.inputs = static_cast<size_t>(json.integerOr("inputs", 0));
    if (const Json *outputs = json.find("outputs"))
      for (const Json &output : outputs->array())
        kernel.outputs.push_back(parseKernelOutput(output, kernel.ops.size()));
    if (const Json *cost = json.find("cost")) {
      kernel.flops = parseCost(cost->at("flops"));
      kernel.bytes = parseCost(cost->at("bytes"));
    }
    if (!manifest.backends.empty())
      kernel.backend = static_cast<uint32_t>(
          json.find("backend") ? json.at("backend").integer(0, static_cast<int64_t>(manifest.backends.size()) - 1) : 0);
    if (const Json *types = json.find("input_types"))
      for (const Json &type : types->array())
        kernel.inputTypes.push_back(parseKernelOutput(type, kernel.ops.size()));
    if (kernel.backend != 0 && kernel.inputTypes.size() != kernel.inputs)
      fail("kernel '%s': 'input_types' does not have its %zu inputs", kernel.name.c_str(), kernel.inputs);
    manifest.kernels.push_back(std::move(kernel));
  }
}

Manifest parseAll(std::string_view text) {
  Json root = Json::parse(text, "the program's manifest");
  if (int64_t version = root.at("format").integer(); version != 0)
    fail("format %lld; this runtime reads format 0", static_cast<long long>(version));
  Manifest manifest;
  manifest.model = root.at("model").string();
  if (const Json *target = root.find("target")) {
    manifest.triple = target->stringOr("triple", "");
    manifest.cpu = target->stringOr("cpu", "");
  }
  parseTensors(root, manifest);
  manifest.data = parseData(root);
  manifest.train = copyOf(root, "train");
  parseStages(root, manifest);
  manifest.generate = copyOf(root, "generate");
  if (const Json *audio = root.find("audio"))
    manifest.samplingRate = audio->at("sampling_rate").integer(1, INT32_MAX);
  manifest.picture = copyOf(root, "picture");
  if (const Json *labels = root.find("labels"))
    for (const Json &label : labels->array())
      manifest.labels.push_back(label.string());
  parseKernels(root, manifest);
  manifest.constantBytes = root.integerOr("constants", 0);
  for (const Json &entry : root.at("entries").array())
    manifest.entries.push_back(parseEntry(entry));
  return manifest;
}

} // namespace

bool SourceSpec::givesRows() const {
  for (const char *one : {"csv", "images", "folder", "boxes", "arrays", "series"})
    if (reader == one)
      return true;
  return false;
}

const char *SourceSpec::normalisedBy(const std::string &field) {
  return field == "target" ? "normalise_target" : "normalise";
}

bool SourceSpec::normalises(const std::string &field) const { return options.booleanOr(normalisedBy(field), false); }

const char *roleName(Role role) {
  for (const auto &[name, known] : roles)
    if (known == role)
      return name;
  return "?";
}

std::string TypeSpec::str() const {
  std::string text = std::string(dtypeName(dtype)) + "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + shape[i].str();
  return text + "]";
}

bool ArgumentSpec::isText() const {
  return role == Role::Input && !result && (name == "ids" || name == "source") && type.shape.size() == 2;
}

const ArgumentSpec *EntrySpec::find(Role role, std::string_view name, bool result) const {
  for (const ArgumentSpec &argument : arguments)
    if (argument.role == role && argument.name == name && argument.result == result)
      return &argument;
  return nullptr;
}

Manifest Manifest::parse(std::string_view text) {
  try {
    if (isGzip(text))
      return parseAll(gunzip(text, "the program's manifest", size_t(1) << 30));
    return parseAll(text);
  } catch (const Error &error) {
    std::string reason = error.what();
    throw Error(reason.starts_with("the program's manifest") ? reason : "the program's manifest is damaged: " + reason);
  }
}

std::vector<std::vector<Setting>> Manifest::readSettings(const std::vector<std::string> &options,
                                                         const std::vector<const BackendTables *> &backends) const {
  std::vector<std::vector<Setting>> settings;
  std::string why;
  if (!kiln::readSettings(options, backends, settings, why))
    throw Error(why);
  for (size_t i = 0; i < backends.size(); ++i) {
    auto found = backendOptions.find(backends[i]->name());
    auto built = found == backendOptions.end() ? decltype(found->second)() : found->second;
    if (why = settledBefore(backends[i]->name(), settings[i], built); !why.empty())
      throw Error(why);
    settings[i] = settingsAtStart(*backends[i], settings[i], built);
  }
  return settings;
}

const EntrySpec *Manifest::findEntry(std::string_view name) const {
  for (const EntrySpec &entry : entries)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

const SourceSpec *Manifest::findSource(std::string_view name) const {
  for (const SourceSpec &source : data)
    if (source.name == name)
      return &source;
  return nullptr;
}

std::string Manifest::undrawn() const {
  if (!generate.isObject() || !generate.find("prefill") || !generate.find("step"))
    return "this program draws no sequences: the model has no `generate` recipe";
  for (const char *key : {"prefill", "step"})
    if (const std::string &name = generate.at(key).string(); !findEntry(name))
      return "this program was built without '" + name + "'; build it with --entry generate, or without --entry";
  return "";
}

const StageSpec *Manifest::findStage(std::string_view name) const {
  for (const StageSpec &one : stages)
    if (one.name == name)
      return &one;
  return nullptr;
}

const StageSpec *Manifest::seriesOf(std::string_view name) const {
  for (const StageSpec &one : stages)
    if (std::find(one.stages.begin(), one.stages.end(), name) != one.stages.end())
      return &one;
  return nullptr;
}

std::string Manifest::stageNames() const {
  std::string names;
  for (const StageSpec &one : stages)
    names += (names.empty() ? "" : ", ") + one.name;
  return names;
}

void Manifest::chooseStage(const std::string &name) {
  const StageSpec *chosen = findStage(name);
  if (!chosen) {
    NearestName nearest(name);
    for (const StageSpec &one : stages)
      nearest.consider(one.name);
    fail("the model has no recipe '%s'%s; %s%s", name.c_str(), nearest.hint().c_str(),
         stages.empty() ? "it has one, without a name" : "it has: ", stageNames().c_str());
  }
  stage = chosen->name;
  suffix = chosen->suffix;
  train = chosen->train;
  data = chosen->data;
}

bool Manifest::keeps(const StateSpec &state) const {
  if (state.kind != "optimizer" || stages.empty())
    return true;
  const StageSpec *series = seriesOf(stage);
  for (const StageSpec &one : stages) {
    bool live = one.name == stage || (series && seriesOf(one.name) == series);
    const EntrySpec *step = live ? findEntry("train_step" + one.suffix) : nullptr;
    if (step && step->find(Role::State, state.name, false))
      return true;
  }
  return false;
}

int64_t Manifest::shardsOf(const Json &train) {
  return train.isObject() && train.find("shards") ? train.at("shards").integer(1, INT32_MAX) : 0;
}

int64_t Manifest::mostShards() const {
  int64_t most = shards();
  for (const StageSpec &one : stages)
    most = std::max(most, shardsOf(one.train));
  return most;
}

std::string Manifest::entryNames() const {
  std::string names;
  for (const EntrySpec &entry : entries)
    if (!entry.name.starts_with("eval.pool") && !entry.name.starts_with("stage.") &&
        !entry.name.starts_with("shard.")) // parts of others
      names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

std::string aboveBound(const SymbolSpec &symbol, int64_t value, const std::string &entry) {
  const char *name = symbol.name.c_str();
  long long found = value, bound = symbol.bound;
  if (symbol.limit > 0 && value > symbol.limit && !symbol.limitName.empty())
    return format("%s is %lld; '%s' was built for %s <= %lld: build with --set %s=%lld", name, found, entry.c_str(),
                  name, bound, symbol.limitName.c_str(), found);
  if (symbol.limit > 0 && value > symbol.limit)
    return format("%s is %lld; '%s' was built for %s <= %lld, and the model's text allows at most %lld: raise it there",
                  name, found, entry.c_str(), name, bound, static_cast<long long>(symbol.limit));
  return format("%s is %lld; '%s' was built for %s <= %lld: build with --bound %s=%lld", name, found, entry.c_str(),
                name, bound, name, found);
}

} // namespace kiln
