#include "runtime/program/Program.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace kiln {

Call::Call(Program &program, size_t entry)
    : program_(program), index_(entry), spec_(program.manifest_.entries[entry]), extents_(spec_) {
  buffers_.resize(spec_.arguments.size());
  shapes_.resize(spec_.arguments.size());
  for (size_t i = 0; i < spec_.arguments.size(); ++i)
    bindBuffer(i);
  program.arena_.reserve(static_cast<size_t>(spec_.arenaBytes));
}

void Call::bindBuffer(size_t i) {
  const ArgumentSpec &argument = spec_.arguments[i];
  int number = static_cast<int>(i);
  if (argument.role == Role::Input)
    for (const Dim &dim : argument.type.shape)
      shapes_[i].push_back(dim.constant().value_or(0));
  if (argument.role == Role::Parameter || argument.role == Role::State) {
    bool parameter = argument.role == Role::Parameter;
    Tensor *tensor = parameter ? program_.parameter(argument.name) : program_.state(argument.name);
    if (!tensor)
      fail("the program's manifest is damaged: entry '%s' uses the unknown %s '%s'", spec_.name.c_str(),
           roleName(argument.role), argument.name.c_str());
    if (tensor->dtype != argument.type.dtype || tensor->memory.size() < static_cast<size_t>(argument.bytes))
      fail("the program's manifest is damaged: entry '%s' takes %lld bytes of '%s', which has %zu", spec_.name.c_str(),
           static_cast<long long>(argument.bytes), argument.name.c_str(), tensor->memory.size());
    if (!parameter) {
      size_t state = static_cast<size_t>(tensor - program_.states_.data());
      if (program_.manifest_.states[state].isSession())
        sessions_.push_back({i, state, argument.result});
    }
    if (!argument.result) {
      buffers_[i] = tensor->memory.data();
      return;
    }
    copies_.push_back({i, tensor->memory.data()});
  }
  owned_.emplace_back(static_cast<size_t>(argument.bytes));
  buffers_[i] = owned_.back().data();
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
  const ArgumentSpec &spec = spec_.arguments[static_cast<size_t>(argument)];
  std::optional<int64_t> count = countElements(shape);
  int64_t room = spec.bytes / static_cast<int64_t>(dtypeSize(spec.type.dtype));
  if (shape.size() != spec.type.shape.size() || !count || *count > room)
    fail("%s: input '%s' is %s; expected %s, at most %lld elements", what, spec.name.c_str(),
         describeType(dtype, shape).c_str(), spec.type.str().c_str(), static_cast<long long>(room));
  std::string why;
  if (!convertElements(dtype, data, spec.type.dtype, this->data(argument), *count, why))
    fail("%s: input '%s' is %s, expected %s: %s", what, spec.name.c_str(), describeType(dtype, shape).c_str(),
         spec.type.str().c_str(), why.c_str());
  this->shape(argument).assign(shape.begin(), shape.end());
}

void Call::bindShapes() {
  // What an earlier call left in a session's states says dimensions that this one's inputs do not.
  for (const Session &session : sessions_)
    if (!session.result)
      shapes_[session.argument] = program_.sessionShapes_[session.state];
  extents_.bind(shapes_);
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

void Call::run(uint32_t seed, int64_t step) {
  bind(seed, step);
  kiln_status status;
  status.kind = KILN_OK;
  status.order = 0;
  status.message[0] = 0;
  kiln_error error;
  error.code = 0;
  error.message[0] = 0;
  int code = program_.api_->execute(program_.executable_, static_cast<uint32_t>(index_), buffers_.data(),
                                    program_.arena_.data(), extents_.table(), &status, &error);
  if (code != 0)
    fail("'%s' failed: %s", spec_.name.c_str(), error.message);
  if (status.kind != KILN_OK)
    throw Error(describe(status));
  for (const CopyBack &copy : copies_)
    std::memcpy(copy.to, buffers_[copy.from], static_cast<size_t>(spec_.arguments[copy.from].bytes));
  for (const Session &session : sessions_)
    program_.sessionShapes_[session.state] = extents_.shape(session.argument);
}

std::string Call::describe(const kiln_status &status) const {
  std::string where = "'" + spec_.name + "'";
  const std::vector<KernelSpec> &kernels = program_.manifest_.kernels;
  if (status.kernel < kernels.size() && status.op < kernels[status.kernel].ops.size()) {
    const KernelSpec::Op &op = kernels[status.kernel].ops[status.op];
    where = op.name + (op.location.empty() ? "" : " at " + op.location) + ", in " + where;
  }
  switch (status.kind) {
  case KILN_INDEX_OUT_OF_RANGE:
    return format("index out of range: %lld is not in 0 to %lld (%s)", static_cast<long long>(status.value),
                  static_cast<long long>(status.limit - 1), where.c_str());
  case KILN_DIVISION_BY_ZERO:
    return format("integer division of %lld by zero (%s)", static_cast<long long>(status.value), where.c_str());
  case KILN_NOT_FINITE:
    return format("a value is not finite (%s)", where.c_str());
  case KILN_BACKEND_FAILED:
    return format("the backend failed: %.256s (%s)", status.message, where.c_str());
  default:
    return format("the backend reports the unknown status %d (%s)", status.kind, where.c_str());
  }
}

double Call::number(int argument) const {
  return loadNumber(spec_.arguments[static_cast<size_t>(argument)].type.dtype, buffers_[static_cast<size_t>(argument)],
                    0);
}

double Call::loss() const {
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
    TensorView view{argument.name, argument.type.dtype, extents_.shape(i), static_cast<const uint8_t *>(buffers_[i]),
                    0};
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
