// What a call's backends need of each other's memory and of the process's, brought there.

#include "runtime/program/Program.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kiln {

HostSpan Call::memoryOf(const Placement::Access &access, bool written) const {
  Placement::Span span = Placement::spanOf(access, extents_.table());
  const uint8_t *begin = access.place.space == KILN_SPACE_ARENA
                             ? program_.arena_.data()
                             : static_cast<const uint8_t *>(buffers_[access.place.argument].host);
  return {begin + span.offset, static_cast<size_t>(span.bytes), written};
}

std::vector<HostSpan> Call::memoryOf(const Placement::Part &part) const {
  std::vector<HostSpan> memory;
  if (!part.known) { // all that there is
    memory.push_back({program_.arena_.data(), program_.arena_.size(), true});
    for (size_t i = 0; i < buffers_.size(); ++i)
      memory.push_back(
          {static_cast<const uint8_t *>(buffers_[i].host), static_cast<size_t>(spec_.arguments[i].bytes), true});
    return memory;
  }
  for (bool written : {false, true})
    for (const Placement::Access &access : written ? part.writes : part.reads)
      if (access.place.space != KILN_SPACE_CONSTANT)
        memory.push_back(memoryOf(access, written));
  return memory;
}

/// What the host has written since the last run: inputs always, parameters and states where somebody asked for them, or
/// where another device has them.
void Call::upload() {
  arrange();
  bool onHost = home().hostMemory();
  if (onHost && program_.homes() == 1)
    return;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    Buffer &buffer = buffers_[i];
    const ArgumentSpec &spec = spec_.arguments[i];
    if (buffer.home)
      program_.bringTo(home_, *buffer.home, *buffer.tensor, static_cast<size_t>(spec.bytes), this);
    else if (!spec.result && !onHost && spec.role != Role::Arranged)
      buffer.device.toDevice(bytesNow(i));
  }
}

void Program::bringTo(uint32_t home, Residence &residence, Tensor &tensor, size_t bytes, const Call *call) {
  if (residence.hostNewer)
    for (Residence::Copy &copy : residence.on)
      copy.current = false;
  residence.hostNewer = false;
  Residence::Copy &here = residence.on[home];
  if (here.current)
    return;
  const Device &to = *homeAt(home).device;
  uint8_t *host = tensor.memory.data();
  if (residence.deviceNewer) {
    bytes = tensor.memory.size();
    inFlight_.read(*homeAt(residence.owner).device, residence.on[residence.owner].buffer.handle(), 0, host, bytes,
                   call);
    residence.deviceNewer = false;
  }
  if (!to.hostMemory() && bytes) {
    inFlight_.write(to, here.buffer.handle(), 0, host, bytes, call);
  } else { // it is there, once it has been read
    HostSpan read = {host, bytes, false};
    inFlight_.order(to, {&read, 1});
  }
  here.current = true;
}

void Program::changedOn(uint32_t home, Residence &residence) {
  for (size_t i = 0; i < residence.on.size(); ++i)
    residence.on[i].current = i == home;
  residence.deviceNewer = !homeAt(home).device->hostMemory();
  residence.owner = home;
  residence.hostNewer = false;
}

/// Notes what the run has changed on the device, and brings new values of parameters and states home.
void Call::finish() {
  bool apart = !home().hostMemory(), noted = apart || program_.homes() > 1;
  for (size_t i = 0; noted && i < buffers_.size(); ++i) {
    if (buffers_[i].home && spec_.arguments[i].donated)
      program_.changedOn(home_, *buffers_[i].home);
    buffers_[i].stale = apart && spec_.arguments[i].result;
  }
  for (const CopyBack &copy : copies_) {
    size_t bytes = static_cast<size_t>(spec_.arguments[copy.from].bytes);
    copy.home->changed();
    if (!apart)
      std::memcpy(copy.to->memory.data(), buffers_[copy.from].host, bytes);
    else if (kiln_event *event = home().beginCopy(handles_[0][copy.from], copy.handle, bytes))
      program_.inFlight_.add({&home(), event, {}, this, "a copy on the device failed", 0, nullptr});
    if (noted)
      program_.changedOn(home_, *copy.home);
  }
  for (const SessionArgument &session : sessions_)
    program_.sessionShapes_[session.slot] = extents_.shape(session.argument);
}

void Call::fetch(size_t argument) {
  Buffer &buffer = buffers_[argument];
  if (!buffer.stale)
    return; // or it is in the process's memory, where nothing goes on behind a run
  program_.inFlight_.settle();
  buffer.device.toHost(bytesNow(argument));
  buffer.stale = false;
}

size_t Call::askLater() {
  Asked &asked = asked_[turn_ ^= 1];
  asked.values.resize(metrics_.size() + 1);
  for (size_t i = 0; i <= metrics_.size(); ++i) {
    int argument = i ? metrics_[i - 1].argument : loss_;
    if (argument < 0)
      continue;
    size_t bytes = dtypeSize(spec_.arguments[static_cast<size_t>(argument)].type.dtype);
    kiln_buffer *from = handles_[0][static_cast<size_t>(argument)];
    if (kiln_event *event = home().beginRead(from, 0, &asked.values[i], bytes))
      program_.inFlight_.add({&home(), event, {}, this, "a copy from the device failed", 0, nullptr});
  }
  asked.added = program_.inFlight_.added();
  return turn_;
}

void Call::take(size_t which, Numbers &numbers) {
  Asked &asked = asked_[which];
  program_.inFlight_.settleUntil(asked.added);
  auto value = [&](int argument, size_t i) {
    return loadNumber(spec_.arguments[static_cast<size_t>(argument)].type.dtype, &asked.values[i], 0);
  };
  numbers.loss = loss_ < 0 ? std::nan("") : value(loss_, 0);
  numbers.metrics.resize(metrics_.size());
  for (size_t i = 0; i < metrics_.size(); ++i)
    numbers.metrics[i] = value(metrics_[i].argument, i + 1);
}

void Call::take(Numbers &numbers) {
  numbers.loss = loss_ < 0 ? std::nan("") : loss();
  numbers.metrics.resize(metrics_.size());
  for (size_t i = 0; i < metrics_.size(); ++i)
    numbers.metrics[i] = number(metrics_[i].argument);
}

/// What a part away from home reads, brought to its backend; or what it wrote, brought back.
void Call::bring(const Placement::Part &part, bool back) {
  const Device &home = this->home(), &away = *program_.backends_[part.backend]->device;
  const Device &from = back ? away : home, &to = back ? home : away;
  if (from.hostMemory() && to.hostMemory())
    return;
  InFlight &inFlight = program_.inFlight_;
  for (const Placement::Access &access : back ? part.writes : part.reads) {
    if (access.place.space == KILN_SPACE_CONSTANT)
      continue;
    Placement::Span span = Placement::spanOf(access, extents_.table());
    if (!span.bytes)
      continue;
    auto handle = [&](uint32_t backend) {
      return access.place.space == KILN_SPACE_ARENA ? opened(backend).arena.handle()
                                                    : handles_[backend][access.place.argument];
    };
    uint64_t offset = static_cast<uint64_t>(span.offset);
    HostSpan memory = memoryOf(access, true);
    uint8_t *host = const_cast<uint8_t *>(memory.begin);
    if (!from.hostMemory())
      inFlight.read(from, handle(back ? part.backend : 0), offset, host, memory.bytes, this);
    if (!to.hostMemory())
      inFlight.write(to, handle(back ? 0 : part.backend), offset, host, memory.bytes, this);
  }
}

} // namespace kiln
