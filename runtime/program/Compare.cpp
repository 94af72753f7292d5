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

/// One side: its program, loaded once more with an entry for each launch, on each of its backends.
class Call::Stepper {
public:
  /// `scratch`: as Walk has it; of a program that is on one backend.
  Stepper(Call &call, uint32_t seed, int64_t step, const std::vector<int64_t> *scratch = nullptr)
      : call_(call), program_(call.program_) {
    call.bind(seed, step);
    call.upload();
    const Placement &placement = program_.plan_.placement();
    for (const Placement::Part &part : placement.parts(call.index_)) {
      const kiln_program &own = placement.program(part.backend);
      auto walk = std::make_unique<Walk>(own, own.entries[part.entry], call.extents_.table(), scratch);
      program_.reserveArena(static_cast<size_t>(walk->arenaBytes()), /*whole=*/false);
      for (size_t leaf = 0; leaf < walk->leaves().size(); ++leaf)
        steps_.push_back({parts_.size(), leaf});
      parts_.push_back({&part, std::move(walk), nullptr});
    }
    for (Part &part : parts_) {
      const kiln_image_backend &backend = program_.image_.backends[part.of->backend];
      part.executable = deviceOf(part).load(part.walk->program(), backend.artifact, backend.artifact_size,
                                            "it cannot load the program");
    }
  }
  ~Stepper() {
    for (Part &part : parts_)
      if (part.executable)
        deviceOf(part).unload(part.executable);
  }
  Stepper(const Stepper &) = delete;

  /// Launches, copies, and branches as a whole.
  size_t steps() const { return steps_.size(); }
  const kiln_node &node(size_t i) const { return leaf(i).node; }
  const KernelSpec &kernel(size_t i) const {
    return program_.manifest_
        .kernels[program_.plan_.placement().wholeKernel(partOf(i).of->backend, leaf(i).node.kernel)];
  }
  const char *backend(size_t i) const { return program_.image_.backends[partOf(i).of->backend].name; }

  /// Before a step's operands are looked at, and behind it.
  void enter(size_t i) {
    if (partOf(i).of->backend != 0 && steps_[i].leaf == 0)
      call_.bring(*partOf(i).of, false);
  }
  void leave(size_t i) {
    if (partOf(i).of->backend != 0 && steps_[i].leaf + 1 == partOf(i).walk->leaves().size())
      call_.bring(*partOf(i).of, true);
  }

  void execute(size_t i) {
    const Part &part = partOf(i);
    uint32_t number = part.of->backend;
    kiln_status status =
        call_.executeLeaf(*part.of, *part.walk, steps_[i].leaf, part.executable, "an execution failed");
    if (status.kind != KILN_OK) {
      status.kernel = program_.plan_.placement().wholeKernel(number, status.kernel);
      throw Error(call_.describe(status, number));
    }
  }

  int64_t count(size_t i, const KernelSpec::Output &type) const {
    int64_t count = 1;
    for (const kiln_extent &dim : type.dims)
      count *= dim.slot < 0 ? dim.value : partOf(i).walk->value(node(i).extents[dim.slot]);
    return count;
  }

  /// A place's elements.
  const uint8_t *look(size_t i, size_t place, size_t bytes, std::vector<uint8_t> &scratch) {
    return call_.look(partOf(i).of->backend, node(i).places[place], bytes, scratch);
  }
  void overwrite(size_t i, size_t place, const uint8_t *data, size_t bytes) {
    overwrite(partOf(i).of->backend, node(i).places[place], data, bytes);
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

  void overwrite(const kiln_place &at, const uint8_t *data, size_t bytes) { overwrite(0, at, data, bytes); }

private:
  struct Part {
    const Placement::Part *of;
    std::unique_ptr<Walk> walk;
    kiln_executable *executable;
  };
  struct Step {
    size_t part, leaf;
  };

  const Part &partOf(size_t i) const { return parts_[steps_[i].part]; }
  const Walk::Leaf &leaf(size_t i) const { return partOf(i).walk->leaves()[steps_[i].leaf]; }
  const Device &deviceOf(const Part &part) const { return *call_.opened(part.of->backend).device; }
  void overwrite(uint32_t backend, const kiln_place &at, const uint8_t *data, size_t bytes) {
    const Program::OpenBackend &opened = call_.opened(backend);
    kiln_buffer *buffer = at.space == KILN_SPACE_ARENA ? opened.arena.handle() : call_.handles_[backend][at.argument];
    call_.noteAllWritten();
    opened.device->write(buffer, static_cast<uint64_t>(at.offset), data, bytes);
  }

  Call &call_;
  Program &program_;
  std::vector<Part> parts_;
  std::vector<Step> steps_;
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
  static constexpr const char *names[] = {"reduce",        "dot_general",        "convolution", "cumsum",
                                          "reduce_window", "reduce_window_grad", "scatter"};
  for (const KernelSpec::Op &op : kernel.ops) {
    if (op.name.ends_with("attention") || op.name.ends_with("attention_grad"))
      return true;
    for (const char *name : names)
      if (op.name == name)
        return true;
  }
  return false;
}

/// How many elements may part for good reason: in a kernel that sums and then compares, a sum that is rounded otherwise
/// may fall on the other side.
int64_t mayFallOtherwise(const KernelSpec &kernel, int64_t count) {
  return kernel.ops.size() > 1 && addsUp(kernel) ? count / 1000 : 0;
}

/// The element where they part most, -1 where no more than `strays` do. `scale`: a magnitude that counts beside the
/// results' own. `tolerance`: of the largest of these.
int64_t whereTheyPart(kiln_dtype dtype, const uint8_t *a, const uint8_t *b, int64_t count, double scale,
                      double tolerance, int64_t strays) {
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
  double allowed = tolerance * scale, worst = allowed;
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
    if (one_.steps() != other_.steps())
      fail("the two programs do not launch the same kernels: %zu and %zu", one_.steps(), other_.steps());
    if (memory_ && memory_->scratchOfA.empty())
      memory_ = nullptr;
    if (memory_)
      mirror();
  }

  std::string run(LaunchCounts &launches) {
    launches = {};
    for (size_t i = 0; i < one_.steps(); ++i) {
      one_.enter(i);
      other_.enter(i);
      std::string parting = isLaunch(one_.node(i)) ? runLaunch(i) : runOther(i);
      if (!parting.empty()) {
        launches.partedOn = one_.backend(i);
        return format("launch %lld, ", static_cast<long long>(launches.all)) + parting;
      }
      if (isLaunch(one_.node(i))) {
        ++launches.all;
        ++launches.on[one_.backend(i)];
        ++launches.against[other_.backend(i)];
      }
      one_.leave(i);
      other_.leave(i);
    }
    return "";
  }

private:
  Call::Stepper one_, other_;
  const SameMemory *memory_;
  std::vector<uint8_t> scratchA_, scratchB_;
  std::vector<std::vector<uint8_t>> before_; // what a kernel that adds up and does more has read, where it may be noise

  /// A copy, or a branch.
  std::string runOther(size_t i) {
    one_.execute(i);
    other_.execute(i);
    if (memory_)
      mirror();
    return "";
  }

  /// All memory of the one into the other's.
  void mirror() {
    for (size_t r = 0; r < one_.regions(); ++r)
      if (size_t bytes = one_.regionBytes(r))
        other_.overwrite(other_.region(r), one_.look(r, scratchA_), bytes);
  }

  /// What a launch may write of the plan's memory, in ascending order.
  std::vector<Span> writes(size_t i, bool ofA) {
    const KernelSpec &kernel = one_.kernel(i);
    const kiln_node &node = one_.node(i);
    std::vector<Span> spans;
    auto add = [&](const kiln_place &place, int64_t bytes) {
      size_t begin = static_cast<size_t>(place.offset);
      if (place.offset >= 0 && bytes > 0)
        spans.push_back({place.space == KILN_SPACE_ARENA ? 0 : static_cast<size_t>(place.argument) + 1, begin,
                         begin + static_cast<size_t>(bytes)});
    };
    for (size_t o = 0; o < kernel.outputs.size(); ++o)
      add(node.places[kernel.inputs + o],
          one_.count(i, kernel.outputs[o]) * static_cast<int64_t>(dtypeSize(kernel.outputs[o].dtype)));
    if (ofA) // the other's lies behind its arena
      add(node.scratch, memory_->scratchOfA[node.kernel]);
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
  std::string wroteBeside(size_t i, bool isA) {
    std::vector<Span> spans = writes(i, isA);
    std::string where = strayWrite(spans);
    if (!where.empty())
      return nameOf(one_.kernel(i), 0) + ": on " + (isA ? one_ : other_).backend(i) + " it wrote to " + where +
             ", which is none of its results (kernel " + one_.kernel(i).name + ")";
    const kiln_node &node = one_.node(i);
    int64_t scratch = memory_->scratchOfA[node.kernel];
    if (isA && node.scratch.offset >= 0 && scratch > 0)
      other_.overwrite(node.scratch, one_.look(0, scratchA_) + node.scratch.offset, static_cast<size_t>(scratch));
    return "";
  }

  std::string runLaunch(size_t i) {
    const KernelSpec &kernel = one_.kernel(i);
    std::string operands;
    double magnitude = 0, terms = 1; // of the operands, and how many there are
    before_.clear();
    // Before the launch: it may write where it reads.
    for (size_t in = 0; in < kernel.inputTypes.size(); ++in) {
      const KernelSpec::Output &type = kernel.inputTypes[in];
      int64_t count = one_.count(i, type);
      const uint8_t *data = one_.look(i, in, static_cast<size_t>(count) * dtypeSize(type.dtype), scratchA_);
      Statistics statistics = statisticsOf(type.dtype, data, count);
      if (kernel.ops.size() > 1 && addsUp(kernel))
        before_.emplace_back(data, data + static_cast<size_t>(count) * dtypeSize(type.dtype));
      operands += format("\n  operand %zu: %lld %s: %s", in, static_cast<long long>(count), dtypeName(type.dtype),
                         describe(statistics).c_str());
      if (!statistics.finite || !isFloat(type.dtype) || (kernel.ops.size() == 1 && !addsUp(kernel)))
        continue;
      magnitude = std::max({magnitude, -statistics.least, statistics.most});
      if (addsUp(kernel))
        terms = std::max(terms, static_cast<double>(count));
    }
    one_.execute(i);
    std::string beside = memory_ ? wroteBeside(i, true) : "";
    if (!beside.empty())
      return beside;
    other_.execute(i);
    std::string parting = compareResults(i, magnitude, terms);
    if (!parting.empty())
      return parting + operands;
    return memory_ ? wroteBeside(i, false) : "";
  }

  std::vector<uint8_t> copyOf(Call::Stepper &side, size_t i, size_t place, const KernelSpec::Output &type) {
    size_t bytes = static_cast<size_t>(side.count(i, type)) * dtypeSize(type.dtype);
    std::vector<uint8_t> scratch;
    const uint8_t *data = side.look(i, place, bytes, scratch);
    return {data, data + bytes};
  }

  /// Whether a result parts by no more than it moves where each float that the kernel reads is off by one rounding: of
  /// sums that cancel, and of what is made of them, nothing is left but that.
  bool isNoise(size_t i, size_t o) {
    const KernelSpec &kernel = one_.kernel(i);
    kiln_dtype dtype = kernel.outputs[o].dtype;
    if (before_.size() != kernel.inputs || !isFloat(dtype))
      return false;
    std::vector<std::vector<uint8_t>> results;
    for (size_t r = 0; r < kernel.outputs.size(); ++r)
      results.push_back(copyOf(other_, i, kernel.inputs + r, kernel.outputs[r]));
    std::vector<uint8_t> a = copyOf(one_, i, kernel.inputs + o, kernel.outputs[o]);
    for (size_t in = 0; in < kernel.inputs; ++in) {
      std::vector<uint8_t> moved = before_[in];
      kiln_dtype of = kernel.inputTypes[in].dtype;
      double rounding = of == KILN_F64 ? 0x1p-52 : of == KILN_BF16 ? 0x1p-7 : of == KILN_F16 ? 0x1p-10 : 0x1p-23;
      uint64_t bits = 0x9E3779B97F4A7C15 * (in + 1);
      for (int64_t e = 0; isFloat(of) && e < one_.count(i, kernel.inputTypes[in]); ++e) {
        bits = bits * 6364136223846793005 + 1442695040888963407;
        storeNumber(of, moved.data(), e, loadNumber(of, moved.data(), e) * (1 + (bits >> 63 ? rounding : -rounding)));
      }
      other_.overwrite(i, in, moved.data(), moved.size());
    }
    other_.execute(i);
    std::vector<uint8_t> moved = copyOf(other_, i, kernel.inputs + o, kernel.outputs[o]);
    // As it was: operands first, a result may lie in one's memory.
    for (size_t in = 0; in < kernel.inputs; ++in)
      other_.overwrite(i, in, before_[in].data(), before_[in].size());
    for (size_t r = 0; r < results.size(); ++r)
      other_.overwrite(i, kernel.inputs + r, results[r].data(), results[r].size());
    double parts = 0, moves = 0;
    for (int64_t e = 0; e < one_.count(i, kernel.outputs[o]); ++e) {
      double x = loadNumber(dtype, a.data(), e), y = loadNumber(dtype, results[o].data(), e);
      if (std::isfinite(x) != std::isfinite(y) || (!std::isfinite(x) && !std::isnan(x) && x != y))
        return false;
      if (!std::isfinite(x))
        continue;
      parts = std::max(parts, std::abs(x - y));
      moves = std::max(moves, std::abs(loadNumber(dtype, moved.data(), e) - y));
    }
    return parts <= 4 * moves;
  }

  /// The results, which are then the same on both sides.
  std::string compareResults(size_t i, double magnitude, double terms) {
    const KernelSpec &kernel = one_.kernel(i);
    for (size_t o = 0; o < kernel.outputs.size(); ++o) {
      const KernelSpec::Output &type = kernel.outputs[o];
      int64_t count = one_.count(i, type);
      size_t bytes = static_cast<size_t>(count) * dtypeSize(type.dtype), place = kernel.inputs + o;
      const uint8_t *dataA = one_.look(i, place, bytes, scratchA_);
      const uint8_t *dataB = other_.look(i, place, bytes, scratchB_);
      // A sum of n terms strays by about √n of their size.
      double stray = magnitude * std::sqrt(std::max(1.0, terms / static_cast<double>(std::max<int64_t>(count, 1))));
      double tolerance = compareTolerance(type.dtype);
      if (kernel.narrowest) // one side may keep in f32 what the other rounds
        tolerance = std::max(tolerance, compareTolerance(*kernel.narrowest));
      int64_t at = whereTheyPart(type.dtype, dataA, dataB, count, stray, tolerance, mayFallOtherwise(kernel, count));
      if (at >= 0 && !isNoise(i, o))
        return format("%s, result %zu: element %lld of %lld is %s on %s, %s on %s (%s)", nameOf(kernel, o).c_str(), o,
                      static_cast<long long>(at), static_cast<long long>(count),
                      valueText(type.dtype, dataA, at).c_str(), one_.backend(i),
                      valueText(type.dtype, dataB, at).c_str(), other_.backend(i), dtypeName(type.dtype));
      if (bytes)
        other_.overwrite(i, place, dataA, bytes);
    }
    return "";
  }
};

} // namespace

std::string compareInStep(Call &a, Call &b, uint32_t seed, int64_t step, LaunchCounts &launches,
                          const SameMemory *memory) {
  return InStep(a, b, seed, step, memory).run(launches);
}

} // namespace kiln
