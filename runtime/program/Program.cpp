// Backends opened, memory reserved, parameters and states made.

#include "runtime/program/Program.h"

#include "runtime/backend/Embedded.h"
#include "runtime/backend/Within.h"
#include "runtime/files/Safetensors.h"
#include "runtime/program/Weights.h"
#include "runtime/random/Initialise.h"
#include "runtime/support/CacheFolder.h"
#include "runtime/support/Error.h"

#include <atomic>
#include <cstddef>
#include <cstring>

namespace kiln {

static std::string_view manifestOf(const kiln_program_image &image) {
  if (image.size < sizeof(kiln_program_image) || image.version != KILN_IMAGE_VERSION || !image.manifest)
    fail(KILN_PROGRAM_MARK " %u; this runtime reads version %d", image.version, KILN_IMAGE_VERSION);
  return {image.manifest, image.manifest_size};
}

Program::Program(const kiln_program_image &image, unsigned threads, const std::vector<uint32_t> &devices,
                 const std::vector<std::string> &backendOptions)
    : image_(image), manifest_(Manifest::parse(manifestOf(image))),
      plan_(manifest_, image.constants, image.constant_bytes), pool_(threads) {
  host_ = *plainHost();
  host_.self = this;
  host_.parallel_for = parallelFor;
  host_.worker_count = pool_.size();
  host_.log = log;
  host_.cache_folder = text(cacheFolder());
  for (const ParameterSpec &spec : manifest_.parameters) {
    std::vector<int64_t> shape;
    shape.reserve(spec.type.shape.size());
    for (const Dim &dim : spec.type.shape)
      shape.push_back(*dim.constant());
    parameterIndex_[spec.name] = parameters_.size();
    parameters_.push_back(Tensor::unplaced(spec.name, spec.type.dtype, std::move(shape)));
  }
  makeStates();
  placeTensors();
  if (watched())
    addRedZones();
  try {
    openBackends(devices, backendOptions);
  } catch (...) {
    unload();
    throw;
  }
}

/// What trains is one group, each other function one of its own; what belongs to a function ("eval.pool") is with it.
static std::vector<std::string_view> groupsOf(const Manifest &manifest) {
  std::vector<std::string_view> groups;
  for (const EntrySpec &entry : manifest.entries)
    if (sessionOf(entry.name) == Session::Training && groups.empty())
      groups.emplace_back("train_step");
  for (const EntrySpec &entry : manifest.entries)
    if (sessionOf(entry.name) != Session::Training && entry.name.find('.') == std::string::npos)
      groups.push_back(entry.name);
  return groups;
}

uint32_t Program::deviceOf(const Manifest &manifest, std::string_view entry, size_t devices) {
  if (devices < 2) // asked in each call of a library's
    return 0;
  std::vector<std::string_view> groups = groupsOf(manifest);
  bool trains = !groups.empty() && groups.front() == "train_step";
  if (trains && sessionOf(entry) == Session::Training)
    return 0;
  auto found = std::find(groups.begin(), groups.end(), entry.substr(0, entry.find('.')));
  size_t number = found == groups.end() ? 0 : static_cast<size_t>(found - groups.begin());
  return static_cast<uint32_t>(trains && number ? 1 + (number - 1) % (devices - 1) : number % devices);
}

void Program::openDevice(OpenBackend &opened, uint32_t backend, uint32_t device) {
  opened.device = std::make_unique<Device>(opened.tables, opened.host, device);
  opened.executable = opened.device->load(plan_.placement().program(backend), image_.backends[backend].artifact,
                                          image_.backends[backend].artifact_size, "it cannot load the program");
}

void Program::openBackends(const std::vector<uint32_t> &devices, const std::vector<std::string> &options) {
  if (image_.backend_count == 0 || image_.backend_count < manifest_.backends.size())
    fail("the program is damaged: it holds %llu backends, its manifest names %zu",
         static_cast<unsigned long long>(image_.backend_count), manifest_.backends.size());
  size_t count = std::max<size_t>(manifest_.backends.size(), 1);
  std::vector<const BackendTables *> tables;
  for (size_t i = 0; i < count; ++i) {
    OpenBackend &opened = *backends_.emplace_back(std::make_unique<OpenBackend>());
    opened.host = host_;
    std::string why;
    if (!openEmbedded(image_.backends[i], &opened.host, opened.tables, why))
      fail("the program's backend %s: %s", image_.backends[i].name, why.c_str());
    tables.push_back(&opened.tables);
  }
  std::vector<std::vector<Setting>> settings = manifest_.readSettings(options, tables);
  for (uint32_t i = 0; i < count; ++i) {
    OpenBackend &opened = *backends_[i];
    opened.settings = SettingList(settings[i], KILN_OPTION_RUN);
    opened.settings.giveTo(opened.host);
    openDevice(opened, i, i == 0 ? devices.at(0) : 0);
  }
  size_t busy = std::max({groupsOf(manifest_).size(), static_cast<size_t>(manifest_.mostShards()), size_t{1}});
  if (devices.size() > busy)
    fail(
        "--device names %zu devices, and the program has something to do for %zu: what trains has one (with --shards N "
        "of `kiln build`, N), and each other function; it has: %s",
        devices.size(), busy, manifest_.entryNames().c_str());
  for (size_t i = 1; i < devices.size(); ++i) {
    OpenBackend &opened = *otherHomes_.emplace_back(std::make_unique<OpenBackend>());
    opened.tables = backends_[0]->tables;
    opened.host = backends_[0]->host;
    openDevice(opened, 0, devices[i]);
  }
  for (auto [tensors, residences] : {std::pair{&parameters_, &parameterHomes_}, std::pair{&states_, &stateHomes_}})
    for (Tensor &tensor : *tensors) {
      Residence &residence = residences->emplace_back();
      residence.on.resize(homes());
      if (homes() == 1) // else where it is used
        bufferOn(0, residence, tensor);
    }
}

kiln_buffer *Program::bufferOn(uint32_t home, Residence &residence, Tensor &tensor) {
  DeviceBuffer &buffer = residence.on[home].buffer;
  if (!buffer.handle())
    buffer = DeviceBuffer(*homeAt(home).device, tensor.memory.data(), tensor.memory.size(), KILN_USE_KEPT);
  return buffer.handle();
}

bool Program::hostMemory() const {
  bool all = home().hostMemory();
  for (const std::unique_ptr<OpenBackend> &opened : otherHomes_)
    all &= opened->device->hostMemory();
  return all;
}

void Program::unload() {
  eachOpened([](OpenBackend &opened) {
    if (opened.executable)
      opened.device->unload(opened.executable);
    opened.executable = nullptr;
  });
}

Program::~Program() {
  try {
    inFlight_.settle();
  } catch (const std::exception &) { // nobody asks any more
  }
  unload();
}

void Program::reserveArena(size_t bytes, bool whole) {
  if (bytes <= arenaBytes_)
    return;
  // Only temporaries live here: nothing needs to be kept.
  inFlight_.settle();
  bool onHost = backends_.size() > 1 || home().hostMemory();
  eachOpened([&](OpenBackend &opened) {
    onHost |= opened.device->hostMemory();
    opened.arena = DeviceBuffer();
  });
  if (onHost)
    arena_.reserve(bytes, whole, pool_);
  eachOpened([&](OpenBackend &opened) {
    opened.arena = DeviceBuffer(*opened.device, onHost ? arena_.data() : nullptr, bytes, KILN_USE_ARENA);
  });
  arenaBytes_ = bytes;
}

Program::Residence &Program::residence(const Tensor &tensor) {
  bool parameter = &tensor >= parameters_.data() && &tensor < parameters_.data() + parameters_.size();
  return parameter ? parameterHomes_[static_cast<size_t>(&tensor - parameters_.data())]
                   : stateHomes_[static_cast<size_t>(&tensor - states_.data())];
}

uint64_t Program::nextVersion() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

void Program::fetch(Tensor &tensor) {
  fresh_ = false; // whoever asks may write
  inFlight_.settle();
  Residence &home = residence(tensor);
  home.changed();
  if (hostMemory())
    return;
  if (home.deviceNewer)
    home.on[home.owner].buffer.toHost(tensor.memory.size());
  home.deviceNewer = false;
  home.hostNewer = true;
}

std::vector<Tensor> &Program::fetched(std::vector<Tensor> &tensors) {
  inFlight_.settle();
  for (Tensor &tensor : tensors)
    fetch(tensor);
  return tensors;
}

void Program::parallelFor(void *self, int64_t count, kiln_task task, void *context) {
  static_cast<Program *>(self)->pool_.parallelFor(count, task, context);
}

void Program::log(void *, int32_t, kiln_string message) { std::fprintf(stderr, "%s\n", readable(message).c_str()); }

Session sessionOf(std::string_view entry) {
  std::string_view base = entry.substr(0, entry.find('.')); // of a stage: train_step.finetune
  bool trains = base == "train_step" || base == "grad" || base == "stage" || base == "shard";
  return trains ? Session::Training : base == "eval" ? Session::Evaluation : Session::Sequence;
}

/// The largest shape in which one of a session's entries takes a state; empty where none does.
static std::optional<std::vector<int64_t>> shapeIn(const Manifest &manifest, const StateSpec &spec, Session session) {
  std::optional<std::vector<int64_t>> most;
  for (const EntrySpec &entry : manifest.entries) {
    std::map<std::string, int64_t> bounds;
    for (const SymbolSpec &symbol : entry.symbols)
      bounds[symbol.name] = symbol.bound;
    for (const ArgumentSpec &argument : entry.arguments) {
      if (argument.role != Role::State || argument.name != spec.name ||
          (spec.isSession() && sessionOf(entry.name) != session))
        continue;
      if (!most)
        most.emplace(argument.type.shape.size());
      for (size_t d = 0; d < std::min(most->size(), argument.type.shape.size()); ++d)
        (*most)[d] = std::max((*most)[d], argument.type.shape[d].evaluate(bounds).value_or(0));
    }
  }
  return most;
}

/// A state gets memory for the largest shape in which an entry takes it: in training a session state follows the batch
/// of the recipe, elsewhere a symbol up to its bound.
void Program::makeStates() {
  for (size_t i = 0; i < manifest_.states.size(); ++i) {
    const StateSpec &spec = manifest_.states[i];
    std::vector<int64_t> unused; // one element stands for a dimension that no entry bounds
    for (const Dim &dim : spec.type.shape)
      unused.push_back(dim.constant().value_or(1));
    addState(i, Session::Sequence, shapeIn(manifest_, spec, Session::Sequence).value_or(unused));
  }
  for (Session session : {Session::Training, Session::Evaluation})
    for (size_t i = 0; i < manifest_.states.size(); ++i)
      if (manifest_.states[i].isSession())
        if (auto shape = shapeIn(manifest_, manifest_.states[i], session))
          addState(i, session, *shape);
}

/// Memory for parameters and states. Where they are many bytes, they are one block: it comes in large pages, a fault
/// each; tensor by tensor most pages at their ends, and all of those below two megabytes, would be small ones.
void Program::placeTensors() {
  constexpr size_t many = 32 << 20, line = 64;
  auto each = [&](auto visit) {
    for (std::vector<Tensor> *tensors : {&parameters_, &states_})
      for (Tensor &tensor : *tensors)
        visit(tensor);
  };
  auto room = [](const Tensor &tensor) { return (tensor.bytes() + line - 1) / line * line; };
  size_t all = 0;
  each([&](Tensor &tensor) {
    if (__builtin_add_overflow(all, room(tensor), &all))
      fail("out of memory: the model's parameters and states are too large");
  });
  if (all >= many)
    memory_.map(all, "parameters and states");
  size_t at = 0;
  each([&](Tensor &tensor) {
    tensor.memory = all >= many ? Memory(memory_.data() + at, tensor.bytes()) : Memory(tensor.bytes());
    at += room(tensor);
  });
}

void Program::addState(size_t state, Session session, std::vector<int64_t> shape) {
  const StateSpec &spec = manifest_.states[state];
  stateIndex_[{spec.name, session}] = states_.size();
  states_.push_back(Tensor::unplaced(spec.name, spec.type.dtype, std::move(shape)));
  slots_.push_back({state, session});
  sessionShapes_.emplace_back();
}

std::vector<size_t> Program::sessionSlots(Session session) const {
  std::vector<size_t> list;
  for (size_t slot = 0; slot < slots_.size(); ++slot)
    if (slots_[slot].session == session && stateSpec(slot).isSession())
      list.push_back(slot);
  return list;
}

void Program::initialise(uint32_t seed) {
  bool fresh = fresh_;
  initialiseStates(seed, false, fresh);
  if (image_.weight_bytes) {
    loadTensors(OwnWeights(image_).tensors(), weightRequests(), false);
    return;
  }
  for (size_t i = 0; i < parameters().size(); ++i) {
    Tensor &tensor = parameters_[i];
    kiln::initialise(tensor.name, &manifest_.parameters[i].init, seed, tensor.dtype, tensor.shape, tensor.memory.data(),
                     pool_, fresh);
  }
}

void Program::initialiseStates(uint32_t seed, bool sessionOnly) { initialiseStates(seed, sessionOnly, fresh_); }

void Program::initialiseStates(uint32_t seed, bool sessionOnly, bool fresh) {
  for (size_t slot = 0; slot < slots_.size(); ++slot)
    if (stateSpec(slot).isSession() || !sessionOnly)
      initialiseState(slot, seed, fresh);
}

void Program::resetSession(Session session, uint32_t seed) {
  for (size_t slot : sessionSlots(session))
    initialiseState(slot, seed, false);
}

void Program::initialiseState(size_t slot, uint32_t seed, bool fresh) {
  Tensor &tensor = states()[slot];
  sessionShapes_[slot].clear();
  kiln::initialise(tensor.name, &stateSpec(slot).init, seed, tensor.dtype, tensor.shape, tensor.memory.data(), pool_,
                   fresh);
}

Tensor *Program::findParameter(const std::string &name) {
  auto found = parameterIndex_.find(name);
  return found == parameterIndex_.end() ? nullptr : &parameters_[found->second];
}

Tensor *Program::findState(const std::string &name, Session session) {
  auto found = stateIndex_.find({name, session});
  return found == stateIndex_.end() ? nullptr : &states_[found->second];
}

Tensor *Program::parameter(const std::string &name) {
  Tensor *found = findParameter(name);
  if (found)
    fetch(*found);
  return found;
}

Tensor *Program::state(const std::string &name, Session session) {
  Tensor *found = findState(name, session);
  if (found)
    fetch(*found);
  return found;
}

std::vector<TensorView> Program::weights() {
  std::vector<TensorView> views;
  for (const Tensor &tensor : parameters())
    views.push_back(tensor.view());
  for (size_t i = 0; i < manifest_.states.size(); ++i)
    if (manifest_.states[i].kind == "persistent")
      views.push_back(states()[i].view());
  return views;
}

std::vector<TensorRequest> Program::weightRequests() {
  std::vector<const Json *> initials; // in the order of weights()
  for (const ParameterSpec &parameter : manifest_.parameters)
    initials.push_back(&parameter.init);
  for (const StateSpec &state : manifest_.states)
    if (state.kind == "persistent")
      initials.push_back(&state.init);
  std::vector<TensorRequest> requests;
  for (const TensorView &view : weights()) {
    const Json &initial = *initials[requests.size()];
    requests.push_back({view.name, view.dtype, view.shape, const_cast<uint8_t *>(view.data),
                        initial.isObject() ? initial.stringOr("of", "") : ""});
  }
  return requests;
}

void Program::loadWeights(const std::string &path) {
  WeightChoice choice;
  choice.files.push_back({path, ""});
  loadWeightFiles(choice, weightRequests());
}

std::vector<std::string> Program::start(uint32_t seed, const WeightChoice &choice) {
  if (choice.empty() || choice.partial)
    initialise(seed);
  else
    initialiseStates(seed, false);
  return choice.empty() ? std::vector<std::string>() : loadWeightFiles(choice, weightRequests());
}

void Program::profile(Profile *profile) {
  inFlight_.settle();
  eachOpened([&](OpenBackend &opened) {
    const kiln_run_api &api = opened.tables.run;
    if (!api.profile)
      return;
    const kiln_profile_event *events = nullptr;
    size_t count = 0;
    kiln_error error = emptyError();
    int32_t code = within(opened.tables, "profile",
                          [&] { return api.profile(opened.executable, profile != nullptr, &events, &count, &error); });
    if (profile)
      opened.device->check(code, error, "it cannot profile");
  });
  profile_ = profile;
}

Call &Program::call(const std::string &name, uint32_t home) {
  std::unique_ptr<Call> &call = calls_[{name, home}];
  if (call)
    return *call;
  for (size_t i = 0; i < manifest_.entries.size(); ++i)
    if (manifest_.entries[i].name == name) {
      call = std::make_unique<Call>(*this, i, home);
      return *call;
    }
  calls_.erase({name, home});
  NearestName nearest(name);
  for (const EntrySpec &entry : manifest_.entries)
    nearest.consider(entry.name);
  fail("this program has no function '%s'%s; it has: %s", name.c_str(), nearest.hint().c_str(),
       manifest_.entryNames().c_str());
}

} // namespace kiln
