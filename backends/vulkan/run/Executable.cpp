// Loading, the choice of variants, and the recordings that are kept.

#include "backends/vulkan/run/Executable.h"
#include "backends/api/kiln_text.h"

#include "backends/vulkan/run/Testing.h"

#include <algorithm>
#include <cstring>

namespace kiln::vulkan {

namespace {
constexpr size_t mostRecordings = 16;

Buffer &bufferOf(kiln_buffer *handle) { return *reinterpret_cast<Buffer *>(handle); }
} // namespace

Executable::~Executable() {
  (void)device.await(device.line, device.line.given);
  for (Event &event : waiting)
    if (event.used && event.recording)
      (void)settle(*event.recording);
  recordings.clear();
  pipelines.reset();
  device.destroy(constants);
  std::erase(device.executables, this);
}

//===-- Load -----------------------------------------------------------------------------------------------------===//

Failure Executable::load(const void *blob, uint64_t bytes) {
  device.executables.push_back(this);
  info.size = sizeof info;
  reader->program(program, &info);
  if (Failure failure = artifact.read(blob, bytes))
    return failure;
  const kiln_vk_artifact &head = artifact.head();
  if (head.kernel_count != info.kernel_count)
    return {KILN_ERROR_INVALID, format("the Vulkan artifact has %u kernels and the program %u: they do not belong "
                                       "together",
                                       head.kernel_count, info.kernel_count)};
  const char *name = device.physical.name.c_str();
  if (uint32_t missing = head.features & ~device.physical.features)
    return {KILN_ERROR_UNSUPPORTED,
            format("%s lacks what the program needs: %s; choose another device (--device), or build the program for "
                   "another backend (--backend cpu)",
                   name, featureNames(missing).c_str())};
  const VkPhysicalDeviceLimits &limits = device.physical.limits;
  if (limits.minStorageBufferOffsetAlignment > head.alignment)
    return {KILN_ERROR_UNSUPPORTED,
            format("%s wants bindings aligned to %llu bytes (minStorageBufferOffsetAlignment), "
                   "and the program aligns them to %u",
                   name, static_cast<unsigned long long>(limits.minStorageBufferOffsetAlignment), head.alignment)};
  if (limits.maxStorageBufferRange < head.part_bytes)
    return {KILN_ERROR_UNSUPPORTED,
            format("%s binds at most %s (maxStorageBufferRange), and the program counts on %s", name,
                   bytesText(limits.maxStorageBufferRange).c_str(), bytesText(head.part_bytes).c_str())};
  constexpr uint64_t fewPasses = 1000; // of loops: any driver does as many
  auto dispatches = artifact.dispatches();
  if (std::any_of(dispatches.begin(), dispatches.end(), [](const auto &each) { return each.passes > fewPasses; }))
    if (Failure failure = device.selfTest.tryLoops())
      return failure;
  variants.resize(info.kernel_count);
  for (uint32_t i = 0; i < info.kernel_count; ++i)
    if (Failure failure = chooseVariants(i))
      return std::move(failure).in(i);
  pipelines = std::make_unique<Pipelines>(device, artifact);
  return loadConstants();
}

Failure Executable::loadConstants() {
  if (!info.constant_bytes)
    return {};
  if (Failure failure = device.create(info.constant_bytes, Home::device, "the program's constants", constants))
    return failure;
  if (constants.memory.mapped && !hooks().staged) {
    std::memcpy(constants.memory.mapped, info.constants, info.constant_bytes);
    return {};
  }
  Buffer view;
  view.device = &device;
  view.raw = constants;
  return device.upload->write(view, 0, info.constants, info.constant_bytes);
}

/// What a variant needs that the device does not have; empty when it runs.
std::string Executable::lacks(const kiln_vk_variant &variant) const {
  const PhysicalDevice &physical = device.physical;
  const VkPhysicalDeviceLimits &limits = physical.limits;
  if (uint32_t missing = variant.features & ~physical.features)
    return featureNames(missing);
  if ((variant.subgroup_least && physical.subgroupSize < variant.subgroup_least) ||
      (variant.subgroup_most && physical.subgroupSize > variant.subgroup_most))
    return format("subgroups of %u to %u (it has %u)", variant.subgroup_least, variant.subgroup_most,
                  physical.subgroupSize);
  for (const kiln_vk_dispatch &dispatch : artifact.dispatches(variant)) {
    if (dispatch.required_subgroup_size && dispatch.required_subgroup_size != physical.subgroupSize)
      return format("subgroups of %u (it has %u)", dispatch.required_subgroup_size, physical.subgroupSize);
    uint64_t invocations = static_cast<uint64_t>(dispatch.local[0]) * dispatch.local[1] * dispatch.local[2];
    if (invocations > limits.maxComputeWorkGroupInvocations || dispatch.local[0] > limits.maxComputeWorkGroupSize[0] ||
        dispatch.local[1] > limits.maxComputeWorkGroupSize[1] || dispatch.local[2] > limits.maxComputeWorkGroupSize[2])
      return format("workgroups of %u x %u x %u", dispatch.local[0], dispatch.local[1], dispatch.local[2]);
    const Findings &found = device.selfTest.findings();
    uint64_t passes = found.loopPasses && found.strips ? dispatch.stripped_passes : dispatch.passes;
    if (found.loopPasses && passes > found.loopPasses)
      return format("loops that come round %llu times at its bounds (its driver ends them after %llu; lower a bound "
                    "with --bound)",
                    static_cast<unsigned long long>(passes), static_cast<unsigned long long>(found.loopPasses));
    if (dispatch.shared_bytes > limits.maxComputeSharedMemorySize)
      return format("%u bytes of shared memory (it has %u)", dispatch.shared_bytes, limits.maxComputeSharedMemorySize);
    uint32_t most = std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
    if (dispatch.binding_count > most)
      return format("%u storage buffers in a shader (it has %u)", dispatch.binding_count, most);
  }
  return "";
}

Failure Executable::chooseVariants(uint32_t number) {
  const kiln_vk_kernel &kernel = artifact.kernels()[number];
  kiln_kernel_info its = {};
  its.size = sizeof its;
  reader->kernel(reader->program_kernel(program, number), &its);
  std::string name = toString(its.name);
  std::string missing, wrong;
  for (uint32_t i = kernel.first_variant; i < kernel.first_variant + kernel.variant_count; ++i) {
    const kiln_vk_variant &variant = artifact.variants()[i];
    std::string reason = lacks(variant);
    if (!reason.empty()) {
      missing = std::move(reason);
      continue;
    }
    if (Failure failure = device.selfTest.tryOut(1u << variant.kind, variant.features))
      return failure;
    reason = device.selfTest.wrongIn(variant);
    if (!reason.empty()) {
      wrong = std::move(reason);
      continue;
    }
    variants[number].push_back(i);
    if (variant.align <= 1) // no launch will want another
      break;
  }
  if (!variants[number].empty())
    return {};
  if (!wrong.empty())
    return {
        KILN_ERROR_UNSUPPORTED,
        format("%s computes %s wrongly with its driver (%s), as its self-test found, and kernel %s has nothing else; "
               "choose another device (--device) or another driver, or build the program for another backend "
               "(--backend cpu); --backend-option vulkan.self-test=again tests again",
               device.physical.name.c_str(), wrong.c_str(), device.physical.driver.c_str(), name.c_str())};
  return {KILN_ERROR_UNSUPPORTED,
          format("%s lacks what kernel %s needs: %s; choose another device (--device), or build the program for all "
                 "devices (without --target-device) or for another backend (--backend cpu)",
                 device.physical.name.c_str(), name.c_str(), missing.c_str())};
}

//===-- Recordings -----------------------------------------------------------------------------------------------===//

Recording *Executable::find(const kiln_execution &execution, const kiln_entry_info &entry) {
  uint32_t given = entry.extent_count - std::min(entry.extent_count, entry.loop_slot_count);
  for (auto &recording : recordings) {
    if (recording->entry != execution.entry || recording->timed != profiling)
      continue;
    bool same = recording->bufferIds[entry.argument_count] == (execution.arena ? bufferOf(execution.arena).id : 0);
    for (uint32_t i = 0; same && i < entry.argument_count; ++i)
      same = recording->bufferIds[i] == bufferOf(execution.buffers[i]).id;
    if (same && (!given || std::memcmp(recording->extents.data(), execution.extents, given * sizeof(int64_t)) == 0))
      return recording.get();
  }
  return nullptr;
}

Failure Executable::record(const kiln_execution &execution, const kiln_entry_info &entry, Recording *&result) {
  if (recordings.size() == mostRecordings)
    if (Failure failure = dropOldest())
      return failure;
  auto recording = std::make_unique<Recording>(device);
  recording->entry = execution.entry;
  recording->timed = profiling;
  const VkPhysicalDeviceLimits &limits = device.physical.limits;
  uint64_t alignment = std::max<uint64_t>(limits.minStorageBufferOffsetAlignment, 4);
  TraceInput input = {
      reader,
      program,
      entry,
      &artifact,
      &variants,
      {},
      {},
      {},
      alignment,
      limits.maxStorageBufferRange,
      {limits.maxComputeWorkGroupCount[0], limits.maxComputeWorkGroupCount[1], limits.maxComputeWorkGroupCount[2]},
      static_cast<uint32_t>(std::max<uint64_t>(alignment, sizeof(kiln_vk_record)))};
  if (entry.extent_count)
    input.extents.assign(execution.extents, execution.extents + entry.extent_count);
  uint32_t given = entry.extent_count - std::min(entry.extent_count, entry.loop_slot_count);
  recording->extents.assign(input.extents.begin(), input.extents.begin() + given);
  std::vector<VkBuffer> memories(firstArgument, VK_NULL_HANDLE);
  input.sizes.resize(firstArgument);
  if (execution.arena) {
    memories[arenaMemory] = bufferOf(execution.arena).raw.handle;
    input.sizes[arenaMemory] = bufferOf(execution.arena).raw.bytes;
  }
  memories[constantMemory] = constants.handle;
  input.sizes[constantMemory] = constants.bytes;
  for (uint32_t i = 0; i < entry.argument_count; ++i) {
    const Buffer &buffer = bufferOf(execution.buffers[i]);
    recording->bufferIds.push_back(buffer.id);
    size_t memory = std::find(memories.begin() + firstArgument, memories.end(), buffer.raw.handle) - memories.begin();
    if (execution.arena && buffer.id == bufferOf(execution.arena).id)
      memory = arenaMemory;
    if (memory == memories.size()) {
      memories.push_back(buffer.raw.handle);
      input.sizes.push_back(buffer.raw.bytes);
    }
    input.arguments.push_back(static_cast<uint32_t>(memory));
  }
  recording->bufferIds.push_back(execution.arena ? bufferOf(execution.arena).id : 0);
  if (Failure failure = trace(input, recording->trace))
    return failure;
  recording->arrange(artifact);
  if (Failure failure = pipelines->need(recording->shapes()))
    return failure;
  if (Failure failure = recording->record(*pipelines, std::move(memories), input.recordStride))
    return failure;
  result = recording.get();
  recordings.push_back(std::move(recording));
  return {};
}

void Executable::drop(size_t number) {
  (void)settle(*recordings[number]);
  if (last == recordings[number].get())
    last = nullptr;
  recordings.erase(recordings.begin() + static_cast<ptrdiff_t>(number));
}

Failure Executable::dropOldest() {
  size_t oldest = 0;
  for (size_t i = 1; i < recordings.size(); ++i)
    if (recordings[i]->lastUsed < recordings[oldest]->lastUsed)
      oldest = i;
  drop(oldest);
  return {};
}

void Executable::forget(uint64_t bufferId) {
  for (size_t i = recordings.size(); i-- > 0;)
    if (std::find(recordings[i]->bufferIds.begin(), recordings[i]->bufferIds.end(), bufferId) !=
        recordings[i]->bufferIds.end())
      drop(i);
}

//===-- Execution ------------------------------------------------------------------------------------------------===//

Failure Executable::submit(Recording &recording, uint32_t number) {
  if (Failure failure = device.submit(recording.commands(number)))
    return failure;
  const Segment &segment = recording.trace.segments[number];
  recording.lastSubmitted = device.line.given;
  uncollected.emplace_back(number, order);
  order += segment.launches;
  counters.launches += recording.schedules[number].batches.size();
  counters.barriers += recording.barriers[number];
  counters.bytes_read += segment.bytesRead;
  counters.bytes_written += segment.bytesWritten;
  ++counters.submits;
  return {};
}

/// Waits for what was submitted, and reads what it left.
Failure Executable::catchUp(Recording &recording, kiln_status &status, bool within) {
  if (uncollected.empty())
    return {};
  counters.host_round_trips += within;
  if (Failure failure = device.await(device.line, recording.lastSubmitted))
    return failure;
  for (auto [segment, begin] : uncollected) {
    recording.collect(segment, begin, status);
    if (Failure failure = recording.times(segment, events))
      return failure;
  }
  uncollected.clear();
  return {};
}

Failure Executable::run(Recording &recording, const std::vector<Step> &steps, kiln_status &status) {
  for (const Step &step : steps) {
    if (step.kind == Step::run) {
      if (Failure failure = submit(recording, step.number))
        return failure;
      continue;
    }
    for (;;) {
      if (step.kind == Step::loop)
        if (Failure failure = run(recording, step.first, status))
          return failure;
      if (Failure failure = catchUp(recording, status, true))
        return failure;
      bool holds = recording.condition(step.number);
      if (step.kind == Step::loop && !holds)
        break;
      if (Failure failure = run(recording, step.kind == Step::loop || !holds ? step.second : step.first, status))
        return failure;
      if (step.kind == Step::branch)
        break;
    }
  }
  return {};
}

Failure Executable::execute(const kiln_execution &execution) {
  if (execution.entry >= info.entry_count)
    return {KILN_ERROR_INVALID, format("the program has no entry %u", execution.entry)};
  kiln_entry_info entry = {};
  entry.size = sizeof entry;
  reader->entry(program, execution.entry, &entry);
  for (uint32_t i = 0; i < entry.argument_count; ++i)
    if (!execution.buffers[i])
      return {KILN_ERROR_INVALID,
              format("argument %u of %.*s has no buffer", i, static_cast<int>(entry.name.size), entry.name.data)};
  Recording *recording = find(execution, entry);
  if (!recording) {
    if (Failure failure = record(execution, entry, recording))
      return failure;
  } else if (Failure failure = settle(*recording)) {
    return failure;
  }
  recording->lastUsed = ++clock;
  counters = {};
  counters.size = sizeof counters;
  last = recording;
  order = 0;
  uncollected.clear();
  events.clear();
  kiln_status unasked = {};
  kiln_status *status = execution.status ? execution.status : &unasked;
  Failure failure = run(*recording, recording->trace.steps, *status);
  // What was submitted uses the buffers, however it went.
  for (uint32_t i = 0; i < entry.argument_count; ++i)
    bufferOf(execution.buffers[i]).lastUse = device.line.given;
  if (execution.arena)
    bufferOf(execution.arena).lastUse = device.line.given;
  if (execution.event)
    *execution.event = nullptr;
  if (failure)
    return failure;
  // One segment may be left running: its records are looked at when it is waited for.
  if (!execution.event || recording->trace.segments.size() > 1 || uncollected.size() != 1)
    return catchUp(*recording, *status, false);
  auto event = std::find_if(waiting.begin(), waiting.end(), [](const Event &each) { return !each.used; });
  if (event == waiting.end())
    event = waiting.emplace(waiting.end());
  *event = {this, recording, recording->lastSubmitted, execution.status, {}, true};
  uncollected.clear();
  *execution.event = reinterpret_cast<kiln_event *>(&*event);
  return {};
}

Failure Executable::settle(Recording &recording) {
  Failure first;
  for (Event &event : waiting) {
    if (!event.used || event.recording != &recording)
      continue;
    event.failure = device.await(device.line, event.number);
    if (!event.failure) {
      kiln_status unasked = {};
      recording.collect(0, 0, event.status ? *event.status : unasked);
      events.clear();
      event.failure = recording.times(0, events);
    }
    event.recording = nullptr;
    if (event.failure)
      first = event.failure;
  }
  return first;
}

Failure Executable::wait(Event &event) {
  if (event.recording)
    (void)settle(*event.recording);
  Failure failure = std::move(event.failure);
  event = {};
  return failure;
}

} // namespace kiln::vulkan
