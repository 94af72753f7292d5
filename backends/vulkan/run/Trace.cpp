// The walk over the tree: loops counted, places resolved, conditions cut into segments.

#include "backends/vulkan/run/Trace.h"
#include "backends/api/kiln_text.h"

#include <algorithm>

namespace kiln::vulkan {

namespace {

constexpr uint32_t mostCommands = 1u << 20;

unsigned long long number(uint64_t value) { return static_cast<unsigned long long>(value); }

class Tracer {
public:
  Tracer(TraceInput &input, Trace &result) : in(input), artifact(*input.artifact), out(result) {}

  Failure run() {
    steps = &out.steps;
    if (Failure failure = walk(in.entry.root))
      return failure;
    close();
    return {};
  }

private:
  TraceInput &in;
  const Artifact &artifact;
  Trace &out;
  std::vector<Step> *steps = nullptr; // where the open segment goes
  Segment segment;                    // open; without commands, none
  int64_t iteration[KILN_MAX_LOOPS] = {};
  uint32_t depth = 0;

  // The launch at hand.
  kiln_node_info node;
  std::string kernelName;
  std::vector<int64_t> extents;
  std::vector<uint64_t> operandBytes;
  std::vector<bool> fitting = std::vector<bool>(artifact.kernels().size()); // kernels whose launches were seen to fit

  struct At {
    uint32_t memory = 0;
    uint64_t offset = 0;
  };

  int64_t value(const kiln_extent &extent) const {
    return extent.slot < 0 ? extent.value : in.extents[static_cast<size_t>(extent.slot)];
  }

  Failure invalid(const std::string &message) const {
    return {KILN_ERROR_INVALID, kernelName.empty() ? message : "kernel " + kernelName + ": " + message};
  }

  /// Where `bytes` bytes of a place lie.
  Failure resolve(const kiln_place &place, uint64_t bytes, At &at) const {
    int64_t offset = place.offset;
    for (uint32_t level = 0; level < depth; ++level)
      offset += value(place.stride[level]) * iteration[level];
    if (place.space == KILN_SPACE_ARGUMENT) {
      if (place.argument >= in.arguments.size())
        return invalid("it asks for an argument that the entry does not have");
      at.memory = in.arguments[place.argument];
    } else {
      at.memory = place.space == KILN_SPACE_ARENA ? arenaMemory : constantMemory;
    }
    uint64_t size = in.sizes[at.memory];
    at.offset = static_cast<uint64_t>(offset);
    if (offset < 0 || at.offset > size || bytes > size - at.offset)
      return invalid(format("%llu bytes at %lld reach beyond a buffer of %llu", number(bytes),
                            static_cast<long long>(offset), number(size)));
    return {};
  }

  void close() {
    if (!segment.commands && !segment.launches)
      return;
    steps->push_back({Step::run, static_cast<uint32_t>(out.segments.size()), {}, {}});
    out.segments.push_back(segment);
    segment = {};
    segment.firstCommand = static_cast<uint32_t>(out.commands.size());
  }

  Failure add(Command command) {
    if (out.commands.size() >= mostCommands)
      return invalid(
          format("one execution is more than %u dispatches long: lower the bounds of its loops", mostCommands));
    out.commands.push_back(command);
    ++segment.commands;
    return {};
  }

  Failure walk(const kiln_node *at);
  Failure children(const kiln_node *at, uint32_t begin, uint32_t end);
  Failure repeat(const kiln_node *at, const kiln_node_info &info);
  Failure decide(const kiln_node *at, const kiln_node_info &info);
  Failure copy(const kiln_place &from, At to, uint64_t bytes);
  Failure launch();
  Failure choose(const kiln_vk_kernel &kernel, const std::vector<At> &places, uint32_t &variant) const;
  Failure dispatch(uint32_t number, const kiln_vk_kernel &kernel, const std::vector<At> &places);
  Failure bind(const kiln_vk_dispatch &dispatch, uint32_t binding, const kiln_vk_kernel &kernel,
               const std::vector<At> &places, Command &command, Range &range, int64_t &base) const;
  Failure words(const kiln_vk_dispatch &dispatch, const std::vector<int64_t> &bases, Command &command);
};

Failure Tracer::children(const kiln_node *at, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; ++i)
    if (Failure failure = walk(in.reader->child(at, i)))
      return failure;
  return {};
}

Failure Tracer::walk(const kiln_node *at) {
  kiln_node_info info = {};
  info.size = sizeof info;
  in.reader->node(at, &info);
  switch (info.kind) {
  case KILN_NODE_SEQUENCE:
    return children(at, 0, info.child_count);
  case KILN_NODE_LAUNCH:
    node = info;
    return launch().in(info.kernel);
  case KILN_NODE_COPY: {
    kernelName.clear();
    uint64_t bytes = static_cast<uint64_t>(std::max<int64_t>(value(info.count), 0));
    At to;
    if (Failure failure = resolve(info.places[1], bytes, to))
      return failure;
    return copy(info.places[0], to, bytes);
  }
  case KILN_NODE_REPEAT:
    return repeat(at, info);
  case KILN_NODE_WHILE:
  case KILN_NODE_IF:
    return decide(at, info);
  default:
    return invalid(format("the Vulkan backend knows no node of kind %d", info.kind));
  }
}

Failure Tracer::repeat(const kiln_node *at, const kiln_node_info &info) {
  if (depth == KILN_MAX_LOOPS)
    return invalid("loops are nested more than three deep");
  int64_t count = value(info.count);
  uint32_t level = depth++;
  for (int64_t i = 0; i < count; ++i) {
    iteration[level] = info.reverse ? count - 1 - i : i;
    if (info.index_slot >= 0)
      in.extents[static_cast<size_t>(info.index_slot)] = iteration[level];
    if (Failure failure = children(at, 0, info.child_count))
      return failure;
  }
  iteration[level] = 0;
  --depth;
  return {};
}

/// while and if: the byte is copied to where the host reads it, behind the commands that make it.
Failure Tracer::decide(const kiln_node *at, const kiln_node_info &info) {
  uint32_t condition = out.conditions++;
  const At slot{conditionMemory, condition * static_cast<uint64_t>(4)};
  in.sizes[conditionMemory] = slot.offset + 4;
  Step step{info.kind == KILN_NODE_WHILE ? Step::loop : Step::branch, condition, {}, {}};
  std::vector<Step> *around = steps;
  kernelName.clear();
  if (step.kind == Step::branch)
    if (Failure failure = copy(*info.condition, slot, 1))
      return failure;
  close();
  steps = &step.first;
  if (Failure failure = walk(in.reader->child(at, 0)))
    return failure;
  kernelName.clear();
  if (step.kind == Step::loop)
    if (Failure failure = copy(*info.condition, slot, 1))
      return failure;
  close();
  steps = &step.second;
  if (info.child_count > 1)
    if (Failure failure = walk(in.reader->child(at, 1)))
      return failure;
  close();
  steps = around;
  steps->push_back(std::move(step));
  return {};
}

Failure Tracer::copy(const kiln_place &from, At to, uint64_t bytes) {
  At source;
  if (Failure failure = resolve(from, bytes, source))
    return failure;
  if (!bytes || (source.memory == to.memory && source.offset == to.offset))
    return {};
  Command command = {};
  command.kernel = command.dispatch = command.record = KILN_NONE;
  command.launch = segment.launches;
  command.firstRange = static_cast<uint32_t>(out.ranges.size());
  command.ranges = 2;
  out.ranges.push_back({source.memory, KILN_VK_READS, source.offset, source.offset + bytes});
  out.ranges.push_back({to.memory, KILN_VK_WRITES, to.offset, to.offset + bytes});
  segment.bytesRead += bytes;
  segment.bytesWritten += bytes;
  out.operandBytes += 2 * bytes;
  return add(command);
}

Failure Tracer::launch() {
  const kiln_vk_kernel &kernel = artifact.kernels()[node.kernel];
  kiln_kernel_info info = {};
  info.size = sizeof info;
  in.reader->kernel(in.reader->program_kernel(in.program, node.kernel), &info);
  kernelName = view(info.name);
  if (!fitting[node.kernel] && !artifact.fits(kernel, node.place_count, node.extent_count))
    return invalid(
        "the Vulkan artifact has another kernel of this number: program and artifact do not belong together");
  fitting[node.kernel] = true;
  extents.resize(node.extent_count);
  for (uint32_t i = 0; i < node.extent_count; ++i)
    extents[i] = value(node.extents[i]);
  operandBytes.resize(node.place_count);
  std::vector<At> places(node.place_count);
  for (uint32_t i = 0; i < node.place_count; ++i) {
    const kiln_vk_operand &operand = artifact.operands(kernel)[i];
    int64_t bytes = 0;
    if (!evaluate(artifact.steps(operand.bytes), extents, bytes) || bytes < 0)
      return invalid(format("the length of operand %u cannot be computed", i));
    operandBytes[i] = static_cast<uint64_t>(bytes);
    out.operandBytes += operandBytes[i] * ((operand.access & 1) + (operand.access >> 1 & 1));
    if (Failure failure = resolve(node.places[i], operandBytes[i], places[i]))
      return failure;
  }
  uint32_t variant = 0;
  if (Failure failure = choose(kernel, places, variant))
    return failure;
  const kiln_vk_variant &chosen = artifact.variants()[variant];
  for (uint32_t i = 0; i < chosen.dispatch_count; ++i)
    if (Failure failure = dispatch(chosen.first_dispatch + i, kernel, places))
      return failure;
  ++segment.launches;
  return {};
}

Failure Tracer::choose(const kiln_vk_kernel &, const std::vector<At> &places, uint32_t &variant) const {
  for (uint32_t candidate : (*in.variants)[node.kernel]) {
    uint64_t align = std::max<uint64_t>(artifact.variants()[candidate].align, 1);
    if (std::all_of(places.begin(), places.end(), [&](const At &at) { return at.offset % align == 0; })) {
      variant = candidate;
      return {};
    }
  }
  return invalid("none of its variants takes places that are so little aligned");
}

Failure Tracer::bind(const kiln_vk_dispatch &dispatch, uint32_t number, const kiln_vk_kernel &kernel,
                     const std::vector<At> &places, Command &command, Range &range, int64_t &base) const {
  const kiln_vk_binding &binding = artifact.bindings(dispatch)[number];
  range.access = binding.access;
  At at;
  uint64_t bytes = 0, elementBytes = 1;
  switch (binding.kind) {
  case KILN_VK_BIND_STATUS:
    range = {recordMemory, binding.access, command.record * static_cast<uint64_t>(in.recordStride),
             command.record * static_cast<uint64_t>(in.recordStride) + sizeof(kiln_vk_record)};
    return {};
  case KILN_VK_BIND_WORDS:
    range = {wordMemory, KILN_VK_READS, out.wordBytes,
             out.wordBytes + std::max(dispatch.word_count, 1u) * static_cast<uint64_t>(4)};
    return {};
  case KILN_VK_BIND_SCRATCH: {
    int64_t length = 0;
    if (!node.scratch || !evaluate(artifact.steps(binding.bytes), extents, length) || length < 0 ||
        binding.number + static_cast<uint64_t>(length) > kernel.scratch_bytes)
      return invalid("it uses more scratch than it was given");
    bytes = static_cast<uint64_t>(length);
    if (Failure failure = resolve(*node.scratch, binding.number + bytes, at))
      return failure;
    at.offset += binding.number;
    break;
  }
  default:
    at = places[binding.number];
    if (binding.output != KILN_VK_NONE &&
        (places[binding.output].memory != at.memory || places[binding.output].offset != at.offset))
      return invalid(
          format("its operands %u and %u do not lie in one place, as it expects", binding.number, binding.output));
    bytes = operandBytes[binding.number];
    elementBytes = artifact.operands(kernel)[binding.number].element_bytes;
  }
  range.memory = at.memory;
  range.begin = at.offset / in.alignment * in.alignment;
  uint64_t rest = at.offset - range.begin, all = rest + bytes;
  base = static_cast<int64_t>(rest / elementBytes);
  if (rest % elementBytes)
    return invalid(format("its operand %u is not aligned to its elements", binding.number));
  if (binding.part != KILN_VK_NONE) {
    uint64_t skipped = std::min(binding.part * artifact.head().part_bytes, all);
    range.begin += skipped / in.alignment * in.alignment;
    all = std::min(all - skipped, artifact.head().part_bytes);
  }
  if (in.sizes[at.memory] == 0)
    return invalid("it asks for memory that the execution does not have");
  if (range.begin >= in.sizes[at.memory]) // an empty one behind the end is bound too
    range.begin = 0;
  all = std::max<uint64_t>((all + 3) / 4 * 4, 4);
  range.end = range.begin + all;
  if (all > in.maxRange)
    return {KILN_ERROR_UNSUPPORTED,
            format("kernel %s: an operand of %s is longer than what this device binds at once (%s); lower the batch or "
                   "the bounds, or choose another device",
                   kernelName.c_str(), bytesText(all).c_str(), bytesText(in.maxRange).c_str())};
  return {};
}

Failure Tracer::words(const kiln_vk_dispatch &dispatch, const std::vector<int64_t> &bases, Command &command) {
  std::vector<int32_t> values;
  for (const kiln_vk_word &word : artifact.words(dispatch)) {
    int64_t value = 0;
    if (word.kind == KILN_VK_WORD_BASE)
      value = bases[word.number];
    else if (!evaluate(artifact.steps(word.value), extents, value))
      return invalid("a word cannot be computed");
    if (value < INT32_MIN || value > INT32_MAX)
      return {KILN_ERROR_UNSUPPORTED,
              format("kernel %s: %lld does not fit the 32 bits that shaders count in; lower the batch or the bounds",
                     kernelName.c_str(), static_cast<long long>(value))};
    values.push_back(static_cast<int32_t>(value));
  }
  bool stored = false;
  for (const kiln_vk_binding &binding : artifact.bindings(dispatch))
    stored |= binding.kind == KILN_VK_BIND_WORDS;
  if (stored) {
    uint64_t bytes = std::max<uint64_t>(values.size(), 1) * 4;
    out.storedWords.emplace_back(out.wordBytes, std::move(values));
    out.wordBytes = (out.wordBytes + bytes + in.alignment - 1) / in.alignment * in.alignment;
    return {};
  }
  command.firstWord = static_cast<uint32_t>(out.words.size());
  command.wordCount = static_cast<uint32_t>(values.size());
  out.words.insert(out.words.end(), values.begin(), values.end());
  return {};
}

Failure Tracer::dispatch(uint32_t number, const kiln_vk_kernel &kernel, const std::vector<At> &places) {
  const kiln_vk_dispatch &dispatch = artifact.dispatches()[number];
  Command command = {};
  command.kernel = node.kernel;
  command.dispatch = number;
  command.launch = segment.launches;
  command.record = KILN_NONE;
  for (uint32_t axis = 0; axis < 3; ++axis) {
    int64_t groups = 0;
    if (!evaluate(artifact.steps(dispatch.grid[axis]), extents, groups))
      return invalid("its workgroups cannot be counted");
    if (groups <= 0)
      return {};
    if (groups > in.maxGroups[axis])
      return {KILN_ERROR_UNSUPPORTED,
              format("kernel %s: %lld workgroups are more than the %u that this device takes; lower the batch or the "
                     "bounds",
                     kernelName.c_str(), static_cast<long long>(groups), in.maxGroups[axis])};
    command.grid[axis] = static_cast<uint32_t>(groups);
  }
  std::span<const kiln_vk_binding> bindings = artifact.bindings(dispatch);
  for (const kiln_vk_binding &binding : bindings)
    if (binding.kind == KILN_VK_BIND_STATUS && command.record == KILN_NONE)
      command.record = out.records++;
  command.firstRange = static_cast<uint32_t>(out.ranges.size());
  command.ranges = dispatch.binding_count;
  std::vector<int64_t> bases(bindings.size(), 0);
  for (uint32_t i = 0; i < bindings.size(); ++i) {
    Range range = {};
    if (Failure failure = bind(dispatch, i, kernel, places, command, range, bases[i]))
      return failure;
    out.ranges.push_back(range);
    bool told = false; // of one part of a place, for all
    for (const kiln_vk_word &word : artifact.words(dispatch))
      told |= word.kind == KILN_VK_WORD_BASE && bindings[word.number].kind == bindings[i].kind &&
              bindings[word.number].number == bindings[i].number;
    if (bases[i] != 0 && !told)
      return invalid(format("binding %u is not aligned as it expects", i));
    if (bindings[i].kind > KILN_VK_BIND_SCRATCH)
      continue;
    uint64_t bytes = range.end - range.begin;
    segment.bytesRead += bindings[i].access & KILN_VK_READS ? bytes : 0;
    segment.bytesWritten += bindings[i].access & KILN_VK_WRITES ? bytes : 0;
  }
  if (Failure failure = words(dispatch, bases, command))
    return failure;
  return add(command);
}

} // namespace

Failure trace(TraceInput &input, Trace &result) { return Tracer(input, result).run(); }

} // namespace kiln::vulkan
