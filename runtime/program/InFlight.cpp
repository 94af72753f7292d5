// Work waited for, in the order in which it was given.

#include "runtime/program/InFlight.h"

#include "runtime/program/Program.h"

#include <algorithm>
#include <utility>

namespace kiln {

InFlight::Moment::Moment() {
  signal.size = sizeof signal;
  signal.self = this;
  signal.wait = [](void *self) {
    Moment &moment = *static_cast<Moment *>(self);
    std::unique_lock lock(moment.mutex);
    moment.come.wait(lock, [&] { return moment.came; });
  };
  signal.came = [](void *self) -> int32_t {
    Moment &moment = *static_cast<Moment *>(self);
    std::lock_guard lock(moment.mutex);
    return moment.came;
  };
}

void InFlight::Moment::notice(void *self, int32_t) {
  Moment &moment = *static_cast<Moment *>(self);
  std::lock_guard lock(moment.mutex);
  moment.came = true;
  moment.come.notify_all();
}

InFlight::~InFlight() {
  await(nullptr, works_.size()); // whatever comes of it
}

kiln_status *InFlight::status() {
  if (spare_.empty()) {
    spare_.reserve(statuses_.size() + 1);
    spare_.push_back(statuses_.emplace_back(std::make_unique<kiln_status>()).get());
  }
  kiln_status *status = spare_.back();
  spare_.pop_back();
  *status = {};
  return status;
}

void InFlight::add(Work work) {
  works_.push_back({std::move(work), nullptr, nullptr, ++added_});
  constexpr size_t most = 1000; // a program of many parts
  if (works_.size() > most)
    settle(most / 2);
}

static bool meet(std::span<const HostSpan> some, std::span<const HostSpan> others) {
  for (const HostSpan &one : some)
    for (const HostSpan &other : others)
      if ((one.written || other.written) && one.begin < other.begin + other.bytes &&
          other.begin < one.begin + one.bytes)
        return true;
  return false;
}

/// Lets the other device wait for it; false where one of the two cannot.
bool InFlight::signals(Pending &pending, const Device &to) {
  const Device &device = *pending.work.device;
  if (!to.api().after || !device.api().notify)
    return false;
  if (!pending.moment) {
    pending.moment = std::make_unique<Moment>();
    if (!device.notify(pending.work.event, Moment::notice, pending.moment.get())) {
      pending.moment.reset();
      return false;
    }
  }
  if (pending.moment->told != &to)
    to.after(pending.moment->signal);
  pending.moment->told = &to;
  return true;
}

void InFlight::order(const Device &device, std::span<const HostSpan> memory) {
  // What a device was given last ends last.
  for (size_t i = works_.size(); i-- > 0;) {
    Pending &pending = works_[i];
    const Device *other = pending.work.device;
    bool laterOne = std::any_of(works_.begin() + static_cast<int64_t>(i) + 1, works_.end(), [&](const Pending &later) {
      return later.work.device == other && meet(memory, later.work.memory);
    });
    if (other == &device || !pending.work.event || laterOne || !meet(memory, pending.work.memory))
      continue;
    if (signals(pending, device))
      continue;
    await(other, i + 1);
  }
  tidy();
}

void InFlight::read(const Device &from, kiln_buffer *buffer, uint64_t offset, uint8_t *to, size_t bytes,
                    const Call *call) {
  HostSpan written = {to, bytes, true};
  order(from, {&written, 1});
  if (kiln_event *event = from.beginRead(buffer, offset, to, bytes))
    add({&from, event, {written}, call, "a copy from the device failed", 0, nullptr});
}

void InFlight::write(const Device &to, kiln_buffer *buffer, uint64_t offset, const uint8_t *from, size_t bytes,
                     const Call *call) {
  HostSpan read = {from, bytes, false};
  order(to, {&read, 1});
  if (kiln_event *event = to.beginWrite(buffer, offset, from, bytes))
    add({&to, event, {read}, call, "a copy to the device failed", 0, nullptr});
}

void InFlight::await(Pending &pending) {
  Work &work = pending.work;
  if (!work.event)
    return;
  try {
    kiln_error error = emptyError();
    int32_t code = work.device->wait(std::exchange(work.event, nullptr), work.call->entry().name, error);
    work.call->checkOver(work, code, error);
  } catch (...) {
    pending.wrong = std::current_exception();
  }
}

void InFlight::await(const Device *device, size_t count) {
  while (count-- > 0) // the last first: when it is over, those before are
    if (!device || works_[count].work.device == device)
      await(works_[count]);
}

void InFlight::tidy() {
  std::exception_ptr wrong;
  for (size_t i = 0; i < works_.size() && !wrong; ++i)
    if ((wrong = works_[i].wrong))
      await(nullptr, works_.size());
  for (Pending &pending : works_) {
    if (pending.work.event)
      continue;
    if (pending.moment)
      moments_.push_back(std::move(pending.moment));
    if (pending.work.status)
      giveBack(pending.work.status);
  }
  std::erase_if(works_, [](const Pending &pending) { return !pending.work.event; });
  if (works_.empty())
    moments_.clear();
  if (wrong)
    std::rethrow_exception(wrong);
}

void InFlight::settleUntil(uint64_t added) {
  size_t count = 0;
  while (count < works_.size() && works_[count].number <= added)
    ++count;
  await(nullptr, count);
  tidy();
}

void InFlight::settle(size_t most) {
  constexpr size_t mostMoments = 64;
  if (moments_.size() > mostMoments)
    most = 0;
  if (works_.size() > most)
    await(nullptr, works_.size() - most);
  tidy();
}

} // namespace kiln
