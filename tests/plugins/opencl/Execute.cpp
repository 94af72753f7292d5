// Walks an entry's tree: launches and copies are put into the queue; only a condition that is to be tested is waited
// for.
#include "Run.h"

#include <algorithm>
#include <cstring>

struct kiln_event {
  kiln_executable *executable;
  kiln_status *status;
};

namespace kiln::opencl {
namespace {

/// As Compile.cpp declares it.
struct Record {
  int32_t claimed, kind;
  uint32_t kernel, op;
  int64_t value, limit, order;
};

class Walk {
public:
  Walk(kiln_executable &self, const kiln_execution &execution, kiln_error *error)
      : self(self), reader(*self.device->host->reader), execution(execution), error(error) {}

  int32_t run(const kiln_node *node) {
    kiln_node_info info = {};
    info.size = sizeof(info);
    reader.node(node, &info);
    switch (info.kind) {
    case KILN_NODE_SEQUENCE:
      return children(node, info.child_count);
    case KILN_NODE_LAUNCH:
      return launch(info);
    case KILN_NODE_COPY:
      return copy(info);
    case KILN_NODE_REPEAT:
      return repeat(node, info);
    case KILN_NODE_WHILE:
      for (;;) {
        bool more = false;
        int32_t bad = run(reader.child(node, 0));
        if (bad || (bad = test(*info.condition, more)) || !more || (bad = run(reader.child(node, 1))))
          return bad;
      }
    case KILN_NODE_IF: {
      bool yes = false;
      int32_t bad = test(*info.condition, yes);
      return bad ? bad : run(reader.child(node, yes ? 0 : 1));
    }
    default:
      return fail(error, KILN_ERROR_UNSUPPORTED,
                  "the opencl backend knows no node of kind " + std::to_string(info.kind));
    }
  }

private:
  struct Place {
    cl_mem memory;
    int64_t offset;
  };

  int64_t value(const kiln_extent &extent) const {
    return extent.slot < 0 ? extent.value : execution.extents[extent.slot];
  }

  Place place(const kiln_place &source) const {
    Place result = {nullptr, source.offset};
    if (source.space == KILN_SPACE_ARENA)
      result.memory = execution.arena ? execution.arena->memory : nullptr;
    else
      result.memory = source.space == KILN_SPACE_CONSTANT ? self.constants : execution.buffers[source.argument]->memory;
    for (uint32_t level = 0; level < depth; ++level)
      result.offset += value(source.stride[level]) * iteration[level];
    return result;
  }

  int32_t children(const kiln_node *node, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i)
      if (int32_t bad = run(reader.child(node, i)))
        return bad;
    return KILN_SUCCESS;
  }

  int32_t repeat(const kiln_node *node, const kiln_node_info &info) {
    int64_t count = value(info.count);
    uint32_t level = depth++;
    int32_t bad = KILN_SUCCESS;
    for (int64_t i = 0; i < count && !bad; ++i) {
      iteration[level] = info.reverse ? count - 1 - i : i;
      if (info.index_slot >= 0)
        execution.extents[info.index_slot] = iteration[level];
      bad = children(node, info.child_count);
    }
    --depth;
    return bad;
  }

  int32_t test(const kiln_place &condition, bool &result) {
    Place at = place(condition);
    uint8_t byte = 0;
    ++self.counted.host_round_trips;
    int32_t bad = check(clEnqueueReadBuffer(self.device->queue, at.memory, CL_TRUE, static_cast<size_t>(at.offset), 1,
                                            &byte, 0, nullptr, nullptr),
                        "reading a condition", error);
    result = byte != 0;
    return bad;
  }

  int32_t copy(const kiln_node_info &info) {
    Place from = place(info.places[0]), to = place(info.places[1]);
    int64_t bytes = value(info.count);
    if (bytes <= 0 || (from.memory == to.memory && from.offset == to.offset))
      return KILN_SUCCESS;
    self.counted.bytes_read += static_cast<uint64_t>(bytes);
    self.counted.bytes_written += static_cast<uint64_t>(bytes);
    return note(KILN_NONE, [&](cl_event *event) {
      return clEnqueueCopyBuffer(self.device->queue, from.memory, to.memory, static_cast<size_t>(from.offset),
                                 static_cast<size_t>(to.offset), static_cast<size_t>(bytes), 0, nullptr, event);
    });
  }

  int32_t launch(const kiln_node_info &info) {
    const Kernel &kernel = self.artifact.kernels[info.kernel];
    if (info.place_count != kernel.places || info.extent_count != kernel.extents)
      return fail(error, KILN_ERROR_INVALID, "a launch of " + kernel.name + " does not fit its artifact");
    int64_t number = order++;
    extents.resize(info.extent_count);
    for (uint32_t i = 0; i < info.extent_count; ++i)
      extents[i] = value(info.extents[i]);
    for (size_t l = 0; l < kernel.launches.size(); ++l) {
      const Launch &launch = kernel.launches[l];
      int64_t groups = launch.groups.at(extents);
      if (groups <= 0)
        continue;
      cl_kernel code = self.kernels[info.kernel][l];
      cl_uint argument = 0;
      cl_int status = CL_SUCCESS;
      auto set = [&](const auto &value) { status |= clSetKernelArg(code, argument++, sizeof(value), &value); };
      set(self.record);
      set(cl_uint(info.kernel));
      set(cl_long(number));
      auto setPlace = [&](const Place &at) {
        set(at.memory);
        set(cl_long(at.offset));
      };
      for (uint32_t i = 0; i < info.place_count; ++i)
        setPlace(place(info.places[i]));
      for (int64_t offset : launch.scratch) {
        Place scratch = place(*info.scratch);
        setPlace({scratch.memory, scratch.offset + offset});
      }
      for (int64_t extent : extents)
        set(cl_long(extent));
      if (int32_t bad = check(status, "setting a kernel's arguments", error))
        return bad;
      const size_t global[2] = {static_cast<size_t>(groups) * launch.local[0], launch.local[1]};
      ++self.counted.launches;
      int32_t bad = note(info.kernel, [&](cl_event *event) {
        return clEnqueueNDRangeKernel(self.device->queue, code, 2, nullptr, global, launch.local, 0, nullptr, event);
      });
      if (bad) {
        error->kernel = info.kernel;
        return bad;
      }
    }
    return KILN_SUCCESS;
  }

  template <class F> int32_t note(uint32_t kernel, F enqueue) {
    cl_event event = nullptr;
    int32_t bad = check(enqueue(self.profiling ? &event : nullptr), "starting a kernel or a copy", error);
    if (event)
      self.pending.push_back({kernel, event});
    return bad;
  }

  kiln_executable &self;
  const kiln_reader &reader;
  const kiln_execution &execution;
  kiln_error *error;
  int64_t iteration[KILN_MAX_LOOPS] = {};
  uint32_t depth = 0;
  int64_t order = 0;
  std::vector<int64_t> extents;
};

int32_t finish(kiln_executable &self, kiln_status *status, kiln_error *error) {
  Record record = {};
  if (int32_t bad = check(clEnqueueReadBuffer(self.device->queue, self.record, CL_TRUE, 0, sizeof(record), &record, 0,
                                              nullptr, nullptr),
                          "running the program", error))
    return bad;
  if (record.kind) {
    status->kernel = record.kernel;
    status->op = record.op;
    status->value = record.value;
    status->limit = record.limit;
    status->order = static_cast<uint64_t>(record.order);
    status->kind = record.kind;
  }
  return KILN_SUCCESS;
}

} // namespace

int32_t execute(kiln_executable *self, const kiln_execution *execution, kiln_error *error) {
  if (execution->entry >= self->entries.size())
    return fail(error, KILN_ERROR_INVALID, "the program has no such entry");
  for (auto [kernel, event] : self->pending)
    clReleaseEvent(event);
  self->pending.clear();
  self->counted = {};
  static const Record clean = {};
  if (int32_t bad = check(clEnqueueWriteBuffer(self->device->queue, self->record, CL_FALSE, 0, sizeof(clean), &clean, 0,
                                               nullptr, nullptr),
                          "clearing the status record", error))
    return bad;
  Walk walk(*self, *execution, error);
  if (int32_t bad = walk.run(self->entries[execution->entry].root)) {
    clFinish(self->device->queue); // what was started still uses the caller's memory
    return bad;
  }
  self->counted.submits = 1;
  if (!execution->event)
    return finish(*self, execution->status, error);
  clFlush(self->device->queue);
  *execution->event = new kiln_event{self, execution->status};
  return KILN_SUCCESS;
}

int32_t wait(kiln_event *event, kiln_error *error) {
  if (!event)
    return KILN_SUCCESS;
  int32_t result = finish(*event->executable, event->status, error);
  delete event;
  return result;
}

int32_t profile(kiln_executable *self, int32_t on, const kiln_profile_event **events, size_t *count,
                kiln_error *error) {
  self->profiling = on != 0;
  self->events.clear();
  if (int32_t bad = check(clFinish(self->device->queue), "running the program", error))
    return bad;
  for (auto [kernel, event] : self->pending) {
    cl_ulong begin = 0, end = 0;
    clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof(begin), &begin, nullptr);
    clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof(end), &end, nullptr);
    self->events.push_back({kernel, 0, static_cast<int64_t>(begin), static_cast<int64_t>(end)});
  }
  *events = self->events.data();
  *count = self->events.size();
  return KILN_SUCCESS;
}

int32_t counters(kiln_executable *self, kiln_counters *out, kiln_error *) {
  kiln_counters mine = self->counted;
  mine.size = out->size;
  mine.barriers = mine.launches; // the queue is in order
  mine.device_bytes = self->device->allocated;
  std::memcpy(out, &mine, std::min<size_t>(out->size, sizeof(mine)));
  return KILN_SUCCESS;
}

} // namespace kiln::opencl
