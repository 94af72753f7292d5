// Two programs in step, and the report of where they part.

#include "runtime/program/Compare.h"

#include "runtime/backend/Tree.h"
#include "runtime/program/Walk.h"
#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

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
  /// `scratch`: as Walk has it.
  Stepper(Call &call, uint32_t seed, int64_t step, const std::vector<int64_t> *scratch = nullptr)
      : call_(call), program_(call.program_) {
    if (program_.backends_.size() > 1)
      fail("the program is on several backends (%s and others); only whole programs are compared",
           program_.image_.backends[0].name);
    call.bind(seed, step);
    call.upload();
    const Plan &plan = program_.plan_;
    walk_ = std::make_unique<Walk>(plan.program(), plan.program().entries[call.index_], call.extents_.table(), scratch);
    program_.reserveArena(static_cast<size_t>(walk_->arenaBytes()));
    const kiln_image_backend &backend = program_.image_.backends[0];
    executable_ =
        program_.home().load(walk_->program(), backend.artifact, backend.artifact_size, "it cannot load the program");
  }
  ~Stepper() {
    if (executable_)
      program_.home().unload(executable_);
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
    execution.arena = program_.backends_[0]->arena.handle();
    execution.extents = call_.extents_.table();
    execution.status = &status;
    kiln_error error = emptyError();
    const Device &device = program_.home();
    const kiln_node &node = leaves()[leaf].node;
    std::string_view name = isLaunch(node) ? std::string_view(kernel(leaves()[leaf]).name) : std::string_view();
    device.check(device.execute(executable_, execution, call_.spec_.name, error, name), error, "an execution failed");
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

  /// All that the plan has: its arena, then each argument.
  size_t regions() const { return 1 + call_.spec_.arguments.size(); }
  kiln_place region(size_t number) const {
    kiln_place place = {number ? KILN_SPACE_ARGUMENT : KILN_SPACE_ARENA,
                        static_cast<uint32_t>(number ? number - 1 : 0),
                        0,
                        {{0, -1}, {0, -1}, {0, -1}}};
    return place;
  }
  size_t regionBytes(size_t number) const {
    return static_cast<size_t>(number ? call_.spec_.arguments[number - 1].bytes : call_.spec_.arenaBytes);
  }
  std::string regionName(size_t number) const {
    return number ? "argument '" + call_.spec_.arguments[number - 1].name + "'" : "the arena";
  }
  const uint8_t *look(size_t number, std::vector<uint8_t> &scratch) {
    return call_.look(0, region(number), regionBytes(number), scratch);
  }

  void overwrite(const Walk::Leaf &leaf, size_t place, const uint8_t *data, size_t bytes) {
    overwrite(leaf.node.places[place], data, bytes);
  }
  void overwrite(const kiln_place &at, const uint8_t *data, size_t bytes) {
    kiln_buffer *buffer =
        at.space == KILN_SPACE_ARENA ? program_.backends_[0]->arena.handle() : call_.handles_[0][at.argument];
    program_.home().write(buffer, static_cast<uint64_t>(at.offset), data, bytes);
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

/// How many elements may part for good reason: in a kernel that sums and then compares, a sum that is rounded otherwise
/// may fall on the other side.
int64_t mayFallOtherwise(const KernelSpec &kernel, int64_t count) {
  return kernel.ops.size() > 1 && addsUp(kernel) ? count / 1000 : 0;
}

/// The element where they part most, -1 where no more than `strays` do. `scale`: a magnitude that counts beside the
/// results' own.
int64_t whereTheyPart(kiln_dtype dtype, const uint8_t *a, const uint8_t *b, int64_t count, double scale,
                      int64_t strays) {
  int64_t at = -1, parted = 0;
  if (!isFloat(dtype)) {
    for (int64_t i = 0; i < count; ++i)
      if (loadInteger(dtype, a, i) != loadInteger(dtype, b, i) && parted++ == 0)
        at = i;
    return parted > strays ? at : -1;
  }
  for (int64_t i = 0; i < count; ++i)
    if (double value = std::abs(loadNumber(dtype, a, i)); std::isfinite(value))
      scale = std::max(scale, value);
  double allowed = compareTolerance(dtype) * scale, worst = allowed;
  for (int64_t i = 0; i < count; ++i) {
    double x = loadNumber(dtype, a, i), y = loadNumber(dtype, b, i);
    if (x == y || (std::isnan(x) && std::isnan(y)))
      continue;
    double distance = std::isfinite(x) && std::isfinite(y) ? std::abs(x - y) : INFINITY;
    parted += distance > allowed;
    if (distance > worst) {
      worst = distance;
      at = i;
    }
  }
  return parted > strays ? at : -1;
}

std::string valueText(kiln_dtype dtype, const uint8_t *data, int64_t i) {
  return isFloat(dtype) ? shortest(loadNumber(dtype, data, i)) : std::to_string(loadInteger(dtype, data, i));
}

/// A part of one of a program's regions.
struct Span {
  size_t region, begin, end;
};

std::string nameOf(const KernelSpec &kernel, size_t output) {
  int64_t op = output < kernel.outputs.size() ? kernel.outputs[output].op : -1;
  if (op < 0 || op >= static_cast<int64_t>(kernel.ops.size()))
    return "kernel " + kernel.name;
  const KernelSpec::Op &made = kernel.ops[static_cast<size_t>(op)];
  return made.name + (made.location.empty() ? "" : " at " + made.location);
}

/// Two programs side by side.
class InStep {
public:
  InStep(Call &a, Call &b, uint32_t seed, int64_t step, const SameMemory *memory)
      : one_(a, seed, step), other_(b, seed, step, memory ? &memory->scratchOfB : nullptr), memory_(memory) {
    if (one_.leaves().size() != other_.leaves().size())
      fail("the two programs do not launch the same kernels: %zu and %zu", one_.leaves().size(),
           other_.leaves().size());
    if (memory_)
      mirror();
  }

  std::string run(int64_t &launches) {
    launches = 0;
    for (size_t i = 0; i < one_.leaves().size(); ++i) {
      bool launch = isLaunch(one_.leaves()[i].node);
      std::string parting = launch ? runLaunch(i) : std::string();
      if (!parting.empty())
        return format("launch %lld, ", static_cast<long long>(launches)) + parting;
      launches += launch;
      if (launch)
        continue;
      one_.execute(i);
      other_.execute(i);
      if (memory_)
        mirror();
    }
    return "";
  }

private:
  Call::Stepper one_, other_;
  const SameMemory *memory_;
  std::vector<uint8_t> scratchA_, scratchB_;

  /// All memory of the one into the other's.
  void mirror() {
    for (size_t r = 0; r < one_.regions(); ++r)
      if (size_t bytes = one_.regionBytes(r))
        other_.overwrite(other_.region(r), one_.look(r, scratchA_), bytes);
  }

  /// What a launch may write of the plan's memory, in ascending order.
  std::vector<Span> writes(const Walk::Leaf &leaf, bool ofA) {
    const KernelSpec &kernel = one_.kernel(leaf);
    std::vector<Span> spans;
    auto add = [&](const kiln_place &place, int64_t bytes) {
      size_t begin = static_cast<size_t>(place.offset);
      if (place.offset >= 0 && bytes > 0)
        spans.push_back({place.space == KILN_SPACE_ARENA ? 0 : static_cast<size_t>(place.argument) + 1, begin,
                         begin + static_cast<size_t>(bytes)});
    };
    for (size_t o = 0; o < kernel.outputs.size(); ++o)
      add(leaf.node.places[kernel.inputs + o],
          one_.count(leaf, kernel.outputs[o]) * static_cast<int64_t>(dtypeSize(kernel.outputs[o].dtype)));
    if (ofA) // the other's lies behind its arena
      add(leaf.node.scratch, memory_->scratchOfA[leaf.node.kernel]);
    std::sort(spans.begin(), spans.end(),
              [](const Span &x, const Span &y) { return std::tie(x.region, x.begin) < std::tie(y.region, y.begin); });
    return spans;
  }

  /// Where the two memories differ outside of the spans: there the one of the two that ran last has written.
  std::string strayWrite(const std::vector<Span> &spans) {
    for (size_t r = 0; r < one_.regions(); ++r) {
      size_t at = 0, bytes = one_.regionBytes(r);
      const uint8_t *a = bytes ? one_.look(r, scratchA_) : nullptr, *b = bytes ? other_.look(r, scratchB_) : nullptr;
      auto equalTo = [&](size_t end) {
        if (at < end && std::memcmp(a + at, b + at, end - at) == 0)
          at = end;
        while (at < end && a[at] == b[at])
          ++at;
        return at >= end;
      };
      for (const Span &span : spans)
        if (span.region == r) {
          if (!equalTo(span.begin))
            break;
          at = std::max(at, span.end);
        }
      if (!equalTo(bytes))
        return format("byte %zu of %zu of %s", at, bytes, one_.regionName(r).c_str());
    }
    return "";
  }

  /// Empty where neither wrote anywhere but where it may; what A left in its scratch is brought to B.
  std::string wroteBeside(const Walk::Leaf &leaf, bool isA) {
    std::vector<Span> spans = writes(leaf, isA);
    std::string where = strayWrite(spans);
    if (!where.empty())
      return nameOf(one_.kernel(leaf), 0) + ": on " + (isA ? one_ : other_).backend() + " it wrote to " + where +
             ", which is none of its results (kernel " + one_.kernel(leaf).name + ")";
    int64_t scratch = memory_->scratchOfA[leaf.node.kernel];
    if (isA && leaf.node.scratch.offset >= 0 && scratch > 0)
      other_.overwrite(leaf.node.scratch, one_.look(0, scratchA_) + leaf.node.scratch.offset,
                       static_cast<size_t>(scratch));
    return "";
  }

  std::string runLaunch(size_t i) {
    const Walk::Leaf &leafA = one_.leaves()[i], &leafB = other_.leaves()[i];
    const KernelSpec &kernel = one_.kernel(leafA);
    std::string operands;
    double magnitude = 0, terms = 1; // of the operands, and how many there are
    // Before the launch: it may write where it reads.
    for (size_t in = 0; in < kernel.inputTypes.size(); ++in) {
      const KernelSpec::Output &type = kernel.inputTypes[in];
      int64_t count = one_.count(leafA, type);
      const uint8_t *data = one_.look(leafA, in, static_cast<size_t>(count) * dtypeSize(type.dtype), scratchA_);
      Statistics statistics = statisticsOf(type.dtype, data, count);
      operands += format("\n  operand %zu: %lld %s: %s", in, static_cast<long long>(count), dtypeName(type.dtype),
                         describe(statistics).c_str());
      if (!statistics.finite || !isFloat(type.dtype) || (kernel.ops.size() == 1 && !addsUp(kernel)))
        continue;
      magnitude = std::max({magnitude, -statistics.least, statistics.most});
      if (addsUp(kernel))
        terms = std::max(terms, static_cast<double>(count));
    }
    one_.execute(i);
    std::string beside = memory_ ? wroteBeside(leafA, true) : "";
    if (!beside.empty())
      return beside;
    other_.execute(i);
    std::string parting = compareResults(leafA, leafB, magnitude, terms);
    if (!parting.empty())
      return parting + operands;
    return memory_ ? wroteBeside(leafA, false) : "";
  }

  /// The results, which are then the same on both sides.
  std::string compareResults(const Walk::Leaf &leafA, const Walk::Leaf &leafB, double magnitude, double terms) {
    const KernelSpec &kernel = one_.kernel(leafA);
    for (size_t o = 0; o < kernel.outputs.size(); ++o) {
      const KernelSpec::Output &type = kernel.outputs[o];
      int64_t count = one_.count(leafA, type);
      size_t bytes = static_cast<size_t>(count) * dtypeSize(type.dtype), place = kernel.inputs + o;
      const uint8_t *dataA = one_.look(leafA, place, bytes, scratchA_);
      const uint8_t *dataB = other_.look(leafB, place, bytes, scratchB_);
      // A sum of n terms strays by about √n of their size.
      double stray = magnitude * std::sqrt(std::max(1.0, terms / static_cast<double>(std::max<int64_t>(count, 1))));
      int64_t at = whereTheyPart(type.dtype, dataA, dataB, count, stray, mayFallOtherwise(kernel, count));
      if (at >= 0)
        return format("%s, result %zu: element %lld of %lld is %s on %s, %s on %s (%s)", nameOf(kernel, o).c_str(), o,
                      static_cast<long long>(at), static_cast<long long>(count),
                      valueText(type.dtype, dataA, at).c_str(), one_.backend(),
                      valueText(type.dtype, dataB, at).c_str(), other_.backend(), dtypeName(type.dtype));
      if (bytes)
        other_.overwrite(leafB, place, dataA, bytes);
    }
    return "";
  }
};

} // namespace

std::string compareInStep(Call &a, Call &b, uint32_t seed, int64_t step, int64_t &launches, const SameMemory *memory) {
  return InStep(a, b, seed, step, memory).run(launches);
}

} // namespace kiln
