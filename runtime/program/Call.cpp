// A call's inputs, shapes and buffers, made ready and run.

#include "runtime/backend/Cancel.h"
#include "runtime/backend/Within.h"
#include "runtime/program/Program.h"
#include "runtime/program/RedZones.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kiln {

Call::Call(Program &program, size_t entry, uint32_t home)
    : program_(program), index_(entry), spec_(program.manifest_.entries[entry]), home_(home), extents_(spec_) {
  buffers_.resize(spec_.arguments.size());
  handles_.assign(program.backends_.size(), std::vector<kiln_buffer *>(spec_.arguments.size()));
  shapes_.resize(spec_.arguments.size());
  for (size_t i = 0; i < spec_.arguments.size(); ++i)
    bindBuffer(i);
  for (size_t backend = 1; backend < program.backends_.size(); ++backend)
    for (size_t i = 0; i < spec_.arguments.size(); ++i) {
      mirrors_.emplace_back(*program.backends_[backend]->device, buffers_[i].host,
                            static_cast<size_t>(spec_.arguments[i].bytes), KILN_USE_ANY);
      handles_[backend][i] = mirrors_.back().handle();
    }
  // Where dimensions are open, the arena is as large as their bounds want it: a prompt takes what its length does.
  program.reserveArena(static_cast<size_t>(spec_.arenaBytes), spec_.symbols.empty());
  versions_.resize(spec_.arguments.size());
  for (const Placement::Part &part : program.plan_.placement().parts(entry))
    written_.push_back(writtenBy(part));
  program.fresh_ = false;
  // What a sequence fills little by little comes as it is written: a cache of keys is as long as the longest one.
  auto isSession = [this](size_t argument) {
    return std::any_of(sessions_.begin(), sessions_.end(),
                       [&](const SessionArgument &session) { return session.argument == argument; });
  };
  for (const std::vector<size_t> &written : written_)
    for (size_t argument : written)
      if (Memory &memory = buffers_[argument].tensor->memory; this->home().hostMemory() && !isSession(argument))
        populate(memory.data(), memory.size(), program.pool_);
}

/// The parameter or state that an argument stands for.
Tensor &Call::homeOf(size_t i) {
  const ArgumentSpec &argument = spec_.arguments[i];
  bool parameter = argument.role == Role::Parameter;
  Tensor *tensor = nullptr;
  if (parameter)
    tensor = program_.findParameter(argument.name);
  else if (tensor = program_.findState(argument.name, sessionOf(spec_.name)); !tensor)
    tensor = program_.findState(argument.name, Session::Sequence); // no session's
  if (!tensor)
    fail("the program's manifest is damaged: entry '%s' uses the unknown %s '%s'", spec_.name.c_str(),
         roleName(argument.role), argument.name.c_str());
  if (tensor->dtype != argument.type.dtype || tensor->memory.size() < static_cast<size_t>(argument.bytes))
    fail("the program's manifest is damaged: entry '%s' takes %lld bytes of '%s', which has %zu", spec_.name.c_str(),
         static_cast<long long>(argument.bytes), argument.name.c_str(), tensor->memory.size());
  if (!parameter) {
    size_t slot = static_cast<size_t>(tensor - program_.states_.data());
    if (program_.stateSpec(slot).isSession())
      sessions_.push_back({i, slot, argument.result});
  }
  return *tensor;
}

void Call::bindBuffer(size_t i) {
  const ArgumentSpec &argument = spec_.arguments[i];
  Buffer &buffer = buffers_[i];
  int number = static_cast<int>(i);
  if (argument.role == Role::Input)
    for (const Dim &dim : argument.type.shape)
      shapes_[i].push_back(dim.constant().value_or(0));
  if (argument.role == Role::Parameter || argument.role == Role::State) {
    Tensor &tensor = homeOf(i);
    Program::Residence &home = program_.residence(tensor);
    if (!argument.result) {
      buffer.host = tensor.memory.data();
      buffer.home = &home;
      buffer.tensor = &tensor;
      handles_[0][i] = program_.bufferOn(home_, home, tensor);
      return;
    }
    copies_.push_back({i, &tensor, &home, program_.bufferOn(home_, home, tensor)});
  }
  size_t bytes = static_cast<size_t>(argument.bytes), zone = spec_.redZones.empty() ? 0 : redZoneBytes;
  buffer.memory = Memory(bytes + 2 * zone);
  buffer.host = buffer.memory.data() + zone;
  // A parameter or state that is no result of its own memory is a copy, which becomes the next one's.
  kiln_use use = argument.role == Role::Parameter || argument.role == Role::State || argument.role == Role::Arranged
                     ? KILN_USE_KEPT
                 : argument.result ? KILN_USE_RESULT
                                   : KILN_USE_INPUT;
  buffer.device = DeviceBuffer(home(), buffer.host, bytes, use);
  handles_[0][i] = buffer.device.handle();
  if (argument.role == Role::Arranged)
    arranged_.push_back(arrangedOf(i));
  if (argument.role == Role::Loss)
    loss_ = number;
  else if (argument.role == Role::Metric)
    metrics_.push_back({argument.name, number});
  else if (argument.role == Role::Seed)
    seed_ = number;
  else if (argument.role == Role::Step)
    step_ = number;
  if ((argument.role == Role::Seed || argument.role == Role::Step) && argument.bytes < 4)
    fail("the program's manifest is damaged: '%s' has no room for %s", spec_.name.c_str(), roleName(argument.role));
}

int Call::input(const std::string &name) const {
  for (size_t i = 0; i < spec_.arguments.size(); ++i)
    if (spec_.arguments[i].role == Role::Input && spec_.arguments[i].name == name)
      return static_cast<int>(i);
  return -1;
}

std::vector<int> Call::inputs() const {
  std::vector<int> list;
  for (size_t i = 0; i < spec_.arguments.size(); ++i)
    if (spec_.arguments[i].role == Role::Input)
      list.push_back(static_cast<int>(i));
  return list;
}

void Call::setInput(int argument, const TensorView &tensor, const std::string &what) {
  setInput(argument, tensor.dtype, tensor.shape, tensor.data, what.c_str());
}

void Call::setInput(int argument, kiln_dtype dtype, std::span<const int64_t> shape, const void *data,
                    const char *what) {
  setBatchInput(spec_, {&spec_.arguments[static_cast<size_t>(argument)], this->data(argument), &this->shape(argument)},
                dtype, shape, data, what);
}

void setBatchInput(const EntrySpec &entry, const BatchInput &input, kiln_dtype dtype, std::span<const int64_t> shape,
                   const void *data, const char *what) {
  const ArgumentSpec &spec = *input.argument;
  std::optional<int64_t> count = countElements(shape);
  int64_t room = spec.bytes / static_cast<int64_t>(dtypeSize(spec.type.dtype));
  for (size_t d = 0; d < shape.size() && shape.size() == spec.type.shape.size(); ++d)
    for (const SymbolSpec &symbol : entry.symbols)
      if (spec.type.shape[d] == Dim::symbol(symbol.name) && shape[d] > symbol.bound)
        fail("%s: input '%s' is %s: %s", what, spec.name.c_str(), describeType(dtype, shape).c_str(),
             aboveBound(symbol, shape[d], entry.name).c_str());
  if (shape.size() != spec.type.shape.size() || !count || *count > room)
    fail("%s: input '%s' is %s; expected %s, at most %lld elements", what, spec.name.c_str(),
         describeType(dtype, shape).c_str(), spec.type.str().c_str(), static_cast<long long>(room));
  std::string why;
  if (!convertElements(dtype, data, spec.type.dtype, input.data, *count, why))
    fail("%s: input '%s' is %s, expected %s: %s", what, spec.name.c_str(), describeType(dtype, shape).c_str(),
         spec.type.str().c_str(), why.c_str());
  input.shape->assign(shape.begin(), shape.end());
}

void Call::bindShapes() {
  // What an earlier call left in a session's states says dimensions that this one's inputs do not.
  for (const SessionArgument &session : sessions_)
    if (!session.result)
      shapes_[session.argument] = program_.sessionShapes_[session.slot];
  extents_.bind(shapes_);
}

/// Rows `keep` and on of an axis leave; the others close up.
static void narrow(Tensor &tensor, std::vector<int64_t> &shape, size_t axis, int64_t keep) {
  size_t outer = 1, inner = dtypeSize(tensor.dtype);
  for (size_t d = 0; d < axis; ++d)
    outer *= static_cast<size_t>(shape[d]);
  for (size_t d = axis + 1; d < shape.size(); ++d)
    inner *= static_cast<size_t>(shape[d]);
  size_t from = static_cast<size_t>(shape[axis]) * inner, to = static_cast<size_t>(keep) * inner;
  uint8_t *data = tensor.memory.data();
  for (size_t o = 1; o < outer; ++o)
    std::memmove(data + o * to, data + o * from, to);
  shape[axis] = keep;
}

void Call::narrowSessions() {
  if (sessions_.empty())
    return;
  for (const SessionArgument &session : sessions_)
    if (!session.result)
      shapes_[session.argument].clear(); // what the inputs alone ask for
  extents_.bind(shapes_);
  for (const SessionArgument &session : sessions_) {
    std::vector<int64_t> &now = program_.sessionShapes_[session.slot];
    const std::vector<int64_t> &next = extents_.shape(session.argument);
    int axis = program_.stateSpec(session.slot).batchAxis;
    if (session.result || axis < 0 || static_cast<size_t>(axis) >= now.size() || now.size() != next.size())
      continue;
    size_t batch = static_cast<size_t>(axis);
    bool onlyRows = next[batch] < now[batch];
    for (size_t d = 0; d < now.size(); ++d)
      onlyRows &= d == batch || now[d] == next[d];
    if (onlyRows) // what else differs, bindShapes() tells
      narrow(program_.states()[session.slot], now, batch, next[batch]);
  }
}

void Call::bind(uint32_t seed, int64_t step) {
  bindShapes();
  if (seed_ >= 0)
    std::memcpy(data(seed_), &seed, 4);
  if (step_ >= 0) {
    int32_t narrow = static_cast<int32_t>(step);
    std::memcpy(data(step_), &narrow, 4);
  }
}

size_t Call::bytesNow(size_t argument) const {
  const ArgumentSpec &spec = spec_.arguments[argument];
  return static_cast<size_t>(countElements(extents_.shape(argument)).value_or(0)) * dtypeSize(spec.type.dtype);
}

/// Gives the part to its backend. What that does on its own goes on; whoever looks at the results waits for it.
void Call::runPart(const Placement::Part &part) {
  Program::OpenBackend &opened = this->opened(part.backend);
  InFlight &inFlight = program_.inFlight_;
  if (part.backend != 0)
    bring(part, false);
  bool shares = opened.device->hostMemory() && program_.backends_.size() > 1;
  if (shares && !inFlight.empty())
    inFlight.order(*opened.device, memoryOf(part));
  if (cancelReason() != CancelReason::None)
    failCancelled(part.backend);
  bool measured = program_.profile_ || program_.counts_;
  kiln_event *event = nullptr;
  kiln_status *status = inFlight.status();
  kiln_execution execution = {};
  execution.size = sizeof execution;
  execution.entry = part.entry;
  execution.buffers = handles_[part.backend].data();
  execution.arena = opened.arena.handle();
  execution.extents = extents_.table();
  execution.status = status;
  execution.event = measured ? nullptr : &event;
  execution.versions = versionsFor(part);
  execution.cancel = cancelAddress();
  noteWrites(part);
  kiln_error error = emptyError();
  int64_t began = program_.profile_ ? profileClock() : 0;
  int32_t code = opened.device->execute(opened.executable, execution, spec_.name, error);
  if (program_.profile_ && code == KILN_SUCCESS)
    keepTimes(part.backend, began);
  if (program_.counts_ && code == KILN_SUCCESS)
    program_.counts_->add(opened.tables, opened.executable);
  if (code == KILN_SUCCESS && event) {
    std::vector<HostSpan> memory;
    if (shares)
      memory = memoryOf(part);
    inFlight.add({opened.device.get(), event, std::move(memory), this, nullptr, part.backend, status});
  } else {
    kiln_status over = *status;
    inFlight.giveBack(status);
    checkExecution(part.backend, code, error, over);
  }
  if (part.backend != 0)
    bring(part, true);
}

void Call::checkOver(const InFlight::Work &work, int32_t code, kiln_error &error) const {
  if (work.what)
    work.device->check(code, error, work.what);
  else
    checkExecution(work.backend, code, error, *work.status);
}

void Call::checkExecution(uint32_t backend, int32_t code, kiln_error &error, const kiln_status &status) const {
  const Placement &placement = program_.plan_.placement();
  if (code == KILN_ERROR_CANCELLED && cancelReason() != CancelReason::None)
    failCancelled(backend);
  if (code != KILN_SUCCESS) {
    error.kernel = placement.wholeKernel(backend, error.kernel);
    throw BackendError(format("the backend %s failed in '%s': %s%s", opened(backend).tables.name().c_str(),
                              spec_.name.c_str(), messageOf(error, code).c_str(), describeAt(error).c_str()));
  }
  if (status.kind == KILN_OK)
    return;
  kiln_status whole = status;
  whole.kernel = placement.wholeKernel(backend, whole.kernel);
  throw Error(describe(whole, backend));
}

void Call::failCancelled(uint32_t backend) const {
  std::string why = "at the second signal";
  if (cancelReason() == CancelReason::Late)
    why = format("after %lld s (--step-timeout)", static_cast<long long>(cancelSeconds));
  throw BackendError(
      format("the backend %s gave up '%s' %s", opened(backend).tables.name().c_str(), spec_.name.c_str(), why.c_str()));
}

void Call::start(uint32_t seed, int64_t step) {
  InFlight &inFlight = program_.inFlight_;
  bool several = program_.backends_.size() > 1, onHost = home().hostMemory();
  if (several || onHost || !spec_.redZones.empty())
    inFlight.settle();
  constexpr size_t most = 16; // a few steps: each is an execution and some copies
  inFlight.settle(most);
  bind(seed, step);
  upload();
  if (!spec_.redZones.empty())
    return runWatched();
  for (const Placement::Part &part : program_.plan_.placement().parts(index_))
    runPart(part);
  // What works in the process's memory shares it with who fills the next run's inputs.
  if (several || onHost)
    inFlight.settle();
  finish();
}

void Call::run(uint32_t seed, int64_t step) {
  start(seed, step);
  program_.inFlight_.settle();
}

/// Of the execution that has just ended.
void Call::keepTimes(uint32_t backend, int64_t began) {
  int64_t ended = profileClock();
  const Program::OpenBackend &opened = this->opened(backend);
  if (!opened.tables.run.profile) {
    program_.profile_->spans.push_back({backend, Profile::allKernels, began, ended});
    return;
  }
  const kiln_profile_event *events = nullptr;
  size_t count = 0;
  kiln_error error = emptyError();
  int32_t code = within(
      opened.tables, "profile",
      [&] { return opened.tables.run.profile(opened.executable, 1, &events, &count, &error); }, spec_.name);
  opened.device->check(code, error, "it cannot profile");
  const Placement &placement = program_.plan_.placement();
  size_t kernels = placement.program(backend).kernel_count;
  constexpr size_t most = static_cast<size_t>(1) << 28;
  if (count > most || (count && !events))
    fail("backend %s gives %zu events of '%s' to profile%s: tell its author", opened.tables.name().c_str(), count,
         spec_.name.c_str(), events ? "" : " at no address");
  for (size_t i = 0; i < count; ++i)
    if (events[i].kernel >= kernels && events[i].kernel != KILN_NONE)
      fail("backend %s has timed the kernel %u of '%s', where it has %zu kernels: tell its author",
           opened.tables.name().c_str(), events[i].kernel, spec_.name.c_str(), kernels);
  program_.profile_->add(backend, events, count, began, ended,
                         [&](uint32_t kernel) { return placement.wholeKernel(backend, kernel); });
}

/// Where a backend's failure happened, as far as it says.
std::string Call::describeAt(const kiln_error &error) const {
  const std::vector<KernelSpec> &kernels = program_.manifest_.kernels;
  if (error.kernel >= kernels.size())
    return "";
  const KernelSpec &kernel = kernels[error.kernel];
  std::string text = " (kernel " + kernel.name;
  if (error.op < kernel.ops.size())
    text += ", " + kernel.ops[error.op].name + " at " + kernel.ops[error.op].location;
  return text + ")";
}

/// "[0, 3]": the place of element `at`, row-major.
static std::string placeIn(std::span<const int64_t> shape, int64_t at) {
  std::vector<int64_t> place(shape.begin(), shape.end());
  for (size_t axis = shape.size(); axis-- > 0; at /= shape[axis])
    place[axis] = at % shape[axis];
  return describeShape(place);
}

/// ": 'data.label' has it at [0, 3]", where a number that is no index came from, as far as one can see: an input that
/// is an index into as many, else one of integers of which that is not known.
std::string Call::inputThatHolds(int64_t value, int64_t limit) const {
  for (int64_t below : {limit, int64_t{0}})
    for (size_t i = 0; i < spec_.arguments.size(); ++i) {
      const ArgumentSpec &argument = spec_.arguments[i];
      if (argument.role != Role::Input || argument.below != below || isFloat(argument.type.dtype) || !buffers_[i].host)
        continue;
      int64_t count = countElements(shapes_[i]).value_or(0);
      for (int64_t at = 0; at < count; ++at)
        if (loadInteger(argument.type.dtype, buffers_[i].host, at) == value)
          return format(": '%s' has it%s", argument.name.c_str(),
                        shapes_[i].empty() ? "" : (" at " + placeIn(shapes_[i], at)).c_str());
    }
  return "";
}

std::string Call::describe(const kiln_status &status, uint32_t backend) const {
  std::string where = "'" + spec_.name + "'";
  const std::vector<KernelSpec> &kernels = program_.manifest_.kernels;
  if (status.kernel < kernels.size() && status.op < kernels[status.kernel].ops.size()) {
    const KernelSpec::Op &op = kernels[status.kernel].ops[status.op];
    where = op.name + (op.location.empty() ? "" : " at " + op.location) + ", in " + where;
  }
  switch (status.kind) {
  case KILN_INDEX_OUT_OF_RANGE:
    return format("index out of range: %lld is not in 0 to %lld (%s)%s", static_cast<long long>(status.value),
                  static_cast<long long>(status.limit - 1), where.c_str(),
                  inputThatHolds(status.value, status.limit).c_str());
  case KILN_DIVISION_BY_ZERO:
    return format("integer division of %lld by zero (%s)", static_cast<long long>(status.value), where.c_str());
  case KILN_NOT_FINITE:
    return format("a value is not finite (%s)", where.c_str());
  default:
    return format("the backend %s reports the status %d, which the interface does not have (%s): tell its author",
                  opened(backend).tables.name().c_str(), status.kind, where.c_str());
  }
}

double Call::number(int argument) {
  size_t index = static_cast<size_t>(argument);
  fetch(index);
  return loadNumber(spec_.arguments[index].type.dtype, buffers_[index].host, 0);
}

double Call::loss() {
  if (loss_ < 0)
    fail("'%s' computes no loss", spec_.name.c_str());
  return number(loss_);
}

std::vector<TensorView> Call::results(Role role) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < spec_.arguments.size(); ++i) {
    const ArgumentSpec &argument = spec_.arguments[i];
    if (argument.role != role || !argument.result)
      continue;
    fetch(i);
    TensorView view{argument.name, argument.type.dtype, extents_.shape(i),
                    static_cast<const uint8_t *>(buffers_[i].host), 0};
    view.bytes = static_cast<size_t>(*countElements(view.shape)) * dtypeSize(view.dtype);
    views.push_back(std::move(view));
  }
  return views;
}

int64_t Call::examples() const {
  for (size_t i = 0; i < spec_.arguments.size(); ++i)
    if (spec_.arguments[i].role == Role::Input && !shapes_[i].empty())
      return shapes_[i][0];
  return 1;
}

} // namespace kiln
