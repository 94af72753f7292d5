// The pattern laid, and looked at after each launch.

#include "runtime/program/RedZones.h"

#include "runtime/backend/Tree.h"
#include "runtime/program/Walk.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

static uint8_t patternAt(size_t offset) { return offset % 2 ? 0xff : 0xf5; }

void fillRedZone(uint8_t *data, size_t bytes, size_t offset) {
  for (size_t i = 0; i < bytes; ++i)
    data[i] = patternAt(offset + i);
}

size_t firstWritten(const uint8_t *data, size_t bytes, size_t offset) {
  for (size_t i = 0; i < bytes; ++i)
    if (data[i] != patternAt(offset + i))
      return i;
  return bytes;
}

bool Program::watched() const {
  return std::any_of(manifest_.entries.begin(), manifest_.entries.end(),
                     [](const EntrySpec &entry) { return !entry.redZones.empty(); });
}

/// Behind parameters and states.
void Program::addRedZones() {
  for (std::vector<Tensor> *tensors : {&parameters_, &states_})
    for (Tensor &tensor : *tensors) {
      tensor.memory = Memory(tensor.bytes() + redZoneBytes);
      fillRedZone(tensor.memory.data() + tensor.bytes(), redZoneBytes, tensor.bytes());
    }
}

/// The arena as a whole, results, and what lies around arguments: whoever reads what was not written reads NaN.
void Call::poison() {
  const Device &home = this->home();
  size_t arena = static_cast<size_t>(spec_.arenaBytes);
  if (home.hostMemory() || program_.backends_.size() > 1)
    fillRedZone(program_.arena_.data(), arena);
  std::vector<uint8_t> image;
  program_.eachOpened([&](Program::OpenBackend &opened) {
    if (opened.device->hostMemory() || arena == 0)
      return;
    image.resize(arena);
    fillRedZone(image.data(), arena);
    opened.device->write(opened.arena.handle(), 0, image.data(), arena);
  });
  for (size_t i = 0; i < buffers_.size() && home.hostMemory(); ++i) {
    Memory &memory = buffers_[i].memory;
    size_t bytes = static_cast<size_t>(spec_.arguments[i].bytes);
    if (memory.size() < bytes + 2 * redZoneBytes)
      continue; // a parameter or state, filled once
    fillRedZone(memory.data(), redZoneBytes);
    fillRedZone(memory.data() + redZoneBytes + bytes, redZoneBytes, bytes);
    if (spec_.arguments[i].result)
      fillRedZone(memory.data() + redZoneBytes, bytes);
  }
}

void Call::checkArgument(size_t argument, const std::string &who) const {
  const Buffer &buffer = buffers_[argument];
  const ArgumentSpec &spec = spec_.arguments[argument];
  size_t bytes = buffer.tensor ? buffer.tensor->bytes() : static_cast<size_t>(spec.bytes);
  const uint8_t *data = static_cast<const uint8_t *>(buffer.host);
  auto report = [&](size_t at, const char *side) {
    fail("%s wrote past its memory: %zu bytes %s %s '%s', which has %zu bytes; this is a fault of the compiler or of "
         "its "
         "backend",
         who.c_str(), at, side, roleName(spec.role), spec.name.c_str(), bytes);
  };
  if (size_t at = firstWritten(data + bytes, redZoneBytes, bytes); at < redZoneBytes)
    report(at, "behind the end of");
  if (!buffer.tensor)
    if (size_t at = firstWritten(data - redZoneBytes, redZoneBytes); at < redZoneBytes)
      report(redZoneBytes - at, "in front of");
}

void Call::checkZones(uint32_t backend, const kiln_node &node) {
  const kiln_node_traits &traits = traitsOf(node);
  std::string who = traits.children == 0 ? std::string("a ") + traits.name : "a kernel in a branch or loop";
  if (isLaunch(node)) {
    const KernelSpec &kernel = program_.manifest_.kernels[program_.plan_.placement().wholeKernel(backend, node.kernel)];
    who = "kernel " + kernel.name;
    if (!kernel.ops.empty())
      who += " (" + kernel.ops.back().name +
             (kernel.ops.back().location.empty() ? "" : " at " + kernel.ops.back().location) + ")";
  }
  who = "'" + spec_.name + "': " + who;
  std::vector<uint8_t> scratch;
  for (const EntrySpec::RedZone &zone : spec_.redZones) {
    kiln_place place = {};
    place.space = KILN_SPACE_ARENA;
    place.offset = zone.offset;
    size_t bytes = static_cast<size_t>(zone.bytes);
    size_t at = firstWritten(look(backend, place, bytes, scratch), bytes, static_cast<size_t>(zone.offset));
    if (at < bytes)
      fail("%s wrote past its memory: byte %zu of the red zone behind %s, at %lld of the arena; this is a fault of the "
           "compiler or of its backend",
           who.c_str(), at, zone.after.empty() ? "nothing" : zone.after.c_str(),
           static_cast<long long>(zone.offset) + static_cast<long long>(at));
  }
  for (size_t i = 0; i < buffers_.size() && home().hostMemory(); ++i)
    checkArgument(i, who);
}

void Call::runWatched() {
  poison();
  const Placement &placement = program_.plan_.placement();
  for (const Placement::Part &part : placement.parts(index_)) {
    if (part.backend != 0)
      bring(part, false);
    walkPart(part, [&](Walk &, const kiln_node &node, const kiln_status &status) {
      if (status.kind != KILN_OK) {
        kiln_status whole = status;
        whole.kernel = placement.wholeKernel(part.backend, whole.kernel);
        throw Error(describe(whole, part.backend));
      }
      checkZones(part.backend, node);
      return true;
    });
    if (part.backend != 0)
      bring(part, true);
  }
  finish();
}

} // namespace kiln
