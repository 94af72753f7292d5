#include "runtime/program/Compare.h"

#include "runtime/program/Walk.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

double compareTolerance(kiln_dtype dtype) {
  switch (dtype) {
  case KILN_F64:
    return 0x1p-48;
  case KILN_F16:
    return 0x1p-7;
  case KILN_BF16:
    return 0x1p-4;
  default:
    return 1e-5;
  }
}

void fillInputs(Call &call) {
  for (int input : call.inputs()) {
    const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
    std::map<std::string, int64_t> bounds;
    for (const SymbolSpec &symbol : call.entry().symbols)
      bounds[symbol.name] = symbol.bound;
    std::vector<int64_t> &shape = call.shape(input);
    shape.clear();
    for (const Dim &dim : argument.type.shape)
      shape.push_back(dim.evaluate(bounds).value_or(1));
    RandomStream random(0, 0x80000000u + static_cast<uint32_t>(input));
    int64_t count = countElements(shape).value_or(0);
    for (int64_t i = 0; isFloat(argument.type.dtype) && i < count; ++i)
      storeNumber(argument.type.dtype, call.data(input), i, random.normal(static_cast<uint64_t>(i)));
  }
}

/// One side: its program, loaded once more with an entry for each launch.
class Call::Stepper {
public:
  Stepper(Call &call, uint32_t seed, int64_t step) : call_(call), program_(call.program_) {
    if (program_.lanes_.size() > 1)
      fail("the program is on several backends (%s and others); only whole programs are compared",
           program_.image_.backends[0].name);
    call.bind(seed, step);
    call.upload();
    const Plan &plan = program_.plan_;
    walk_ = std::make_unique<Walk>(plan.program(), plan.program().entries[call.index_], call.extents_.table());
    const kiln_image_backend &backend = program_.image_.backends[0];
    kiln_error error = emptyError();
    const Device &device = program_.home();
    int32_t code = device.api().load(device.handle(), &walk_->program(), backend.artifact, backend.artifact_size,
                                     &executable_, &error);
    device.checkMade(code, executable_, error, "it cannot load the program");
  }
  ~Stepper() {
    if (executable_)
      program_.home().api().unload(executable_);
  }
  Stepper(const Stepper &) = delete;

  const std::vector<Walk::Leaf> &leaves() const { return walk_->leaves(); }
  const KernelSpec &kernel(const Walk::Leaf &leaf) const { return program_.manifest_.kernels[leaf.node.kernel]; }
  const char *backend() const { return program_.image_.backends[0].name; }

  void execute(size_t leaf) {
    walk_->prepare(leaves()[leaf]);
    kiln_status status = {};
    kiln_execution execution = {};
    execution.size = sizeof execution;
    execution.entry = static_cast<uint32_t>(leaf);
    execution.buffers = call_.handles_[0].data();
    execution.arena = program_.lanes_[0]->arena.handle();
    execution.extents = call_.extents_.table();
    execution.status = &status;
    kiln_error error = emptyError();
    const Device &device = program_.home();
    device.check(device.api().execute(executable_, &execution, &error), error, "an execution failed");
    if (status.kind != KILN_OK)
      throw Error(call_.describe(status));
  }

  int64_t count(const Walk::Leaf &leaf, const KernelSpec::Output &type) const {
    int64_t count = 1;
    for (const kiln_extent &dim : type.dims)
      count *= dim.slot < 0 ? dim.value : walk_->value(leaf.node.extents[dim.slot]);
    return count;
  }

  /// A place's elements.
  const uint8_t *look(const Walk::Leaf &leaf, size_t place, size_t bytes, std::vector<uint8_t> &scratch) {
    return call_.look(0, leaf.node.places[place], bytes, scratch);
  }

  void overwrite(const Walk::Leaf &leaf, size_t place, const uint8_t *data, size_t bytes) {
    const kiln_place &at = leaf.node.places[place];
    kiln_buffer *buffer =
        at.space == KILN_SPACE_ARENA ? program_.lanes_[0]->arena.handle() : call_.handles_[0][at.argument];
    kiln_error error = emptyError();
    const Device &device = program_.home();
    device.check(device.api().write(buffer, static_cast<uint64_t>(at.offset), data, bytes, &error), error,
                 "a copy to the device failed");
  }

private:
  Call &call_;
  Program &program_;
  std::unique_ptr<Walk> walk_;
  kiln_executable *executable_ = nullptr;
};

namespace {

struct Statistics {
  double least = INFINITY, most = -INFINITY, sum = 0;
  int64_t finite = 0, other = 0;
};

Statistics statisticsOf(kiln_dtype dtype, const uint8_t *data, int64_t count) {
  Statistics s;
  for (int64_t i = 0; i < count; ++i) {
    double value = isFloat(dtype) ? loadNumber(dtype, data, i) : static_cast<double>(loadInteger(dtype, data, i));
    if (!std::isfinite(value)) {
      ++s.other;
      continue;
    }
    ++s.finite;
    s.least = std::min(s.least, value);
    s.most = std::max(s.most, value);
    s.sum += value;
  }
  return s;
}

std::string describe(const Statistics &s) {
  std::string text = s.finite ? format("min %s, max %s, mean %s", shortest(s.least).c_str(), shortest(s.most).c_str(),
                                       shortest(s.sum / static_cast<double>(s.finite)).c_str())
                              : std::string("nothing finite");
  if (s.other)
    text += format(", %lld NaN or infinite", static_cast<long long>(s.other));
  return text;
}

/// Ops that add many numbers up: where these cancel, what is left is as inexact as they are large.
bool addsUp(const KernelSpec &kernel) {
  static constexpr const char *names[] = {"reduce",  "dot_general",   "convolution",
                                          "cumsum",  "reduce_window", "reduce_window_grad",
                                          "scatter", "attention",     "attention_grad"};
  for (const KernelSpec::Op &op : kernel.ops)
    for (const char *name : names)
      if (op.name == name)
        return true;
  return false;
}

/// The element where they part most, -1 where they do not. `scale`: a magnitude that counts beside the results' own.
int64_t whereTheyPart(kiln_dtype dtype, const uint8_t *a, const uint8_t *b, int64_t count, double scale) {
  int64_t at = -1;
  if (!isFloat(dtype)) {
    for (int64_t i = 0; i < count && at < 0; ++i)
      if (loadInteger(dtype, a, i) != loadInteger(dtype, b, i))
        at = i;
    return at;
  }
  for (int64_t i = 0; i < count; ++i)
    if (double value = std::abs(loadNumber(dtype, a, i)); std::isfinite(value))
      scale = std::max(scale, value);
  double worst = compareTolerance(dtype) * scale;
  for (int64_t i = 0; i < count; ++i) {
    double x = loadNumber(dtype, a, i), y = loadNumber(dtype, b, i);
    if (x == y || (std::isnan(x) && std::isnan(y)))
      continue;
    double distance = std::isfinite(x) && std::isfinite(y) ? std::abs(x - y) : INFINITY;
    if (distance > worst) {
      worst = distance;
      at = i;
    }
  }
  return at;
}

std::string valueText(kiln_dtype dtype, const uint8_t *data, int64_t i) {
  return isFloat(dtype) ? shortest(loadNumber(dtype, data, i)) : std::to_string(loadInteger(dtype, data, i));
}

} // namespace

std::string compareInStep(Call &a, Call &b, uint32_t seed, int64_t step, int64_t &launches) {
  Call::Stepper one(a, seed, step), other(b, seed, step);
  if (one.leaves().size() != other.leaves().size())
    fail("the two programs do not launch the same kernels: %zu and %zu", one.leaves().size(), other.leaves().size());
  std::vector<uint8_t> scratchA, scratchB;
  launches = 0;
  for (size_t i = 0; i < one.leaves().size(); ++i) {
    const Walk::Leaf &leafA = one.leaves()[i], &leafB = other.leaves()[i];
    std::string operands;
    double magnitude = 0, terms = 1; // of the operands, and how many there are
    const KernelSpec &kernel = one.kernel(leafA);
    bool launch = leafA.node.kind == KILN_NODE_LAUNCH;
    // Before the launch: it may write where it reads.
    for (size_t in = 0; launch && in < kernel.inputTypes.size(); ++in) {
      const KernelSpec::Output &type = kernel.inputTypes[in];
      int64_t count = one.count(leafA, type);
      const uint8_t *data = one.look(leafA, in, static_cast<size_t>(count) * dtypeSize(type.dtype), scratchA);
      Statistics statistics = statisticsOf(type.dtype, data, count);
      operands += format("\n  operand %zu: %lld %s: %s", in, static_cast<long long>(count), dtypeName(type.dtype),
                         describe(statistics).c_str());
      if (statistics.finite && addsUp(kernel)) {
        magnitude = std::max({magnitude, -statistics.least, statistics.most});
        terms = std::max(terms, static_cast<double>(count));
      }
    }
    one.execute(i);
    other.execute(i);
    if (!launch)
      continue;
    ++launches;
    for (size_t o = 0; o < kernel.outputs.size(); ++o) {
      const KernelSpec::Output &type = kernel.outputs[o];
      int64_t count = one.count(leafA, type);
      size_t bytes = static_cast<size_t>(count) * dtypeSize(type.dtype), place = kernel.inputs + o;
      const uint8_t *dataA = one.look(leafA, place, bytes, scratchA);
      const uint8_t *dataB = other.look(leafB, place, bytes, scratchB);
      // A sum of n terms strays by about √n of their size.
      double stray = magnitude * std::sqrt(std::max(1.0, terms / static_cast<double>(std::max<int64_t>(count, 1))));
      if (int64_t at = whereTheyPart(type.dtype, dataA, dataB, count, stray); at >= 0) {
        std::string what = "kernel " + kernel.name;
        if (type.op >= 0 && type.op < static_cast<int64_t>(kernel.ops.size())) {
          const KernelSpec::Op &op = kernel.ops[static_cast<size_t>(type.op)];
          what = op.name + (op.location.empty() ? "" : " at " + op.location);
        }
        return format("launch %lld, %s, result %zu: element %lld of %lld is %s on %s, %s on %s (%s)",
                      static_cast<long long>(launches - 1), what.c_str(), o, static_cast<long long>(at),
                      static_cast<long long>(count), valueText(type.dtype, dataA, at).c_str(), one.backend(),
                      valueText(type.dtype, dataB, at).c_str(), other.backend(), dtypeName(type.dtype)) +
               operands;
      }
      if (bytes)
        other.overwrite(leafB, place, dataA, bytes);
    }
  }
  return "";
}

} // namespace kiln
