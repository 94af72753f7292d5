// The run side's objects.
#pragma once

#include "Artifact.h"

#include <CL/cl.h>

#include <map>
#include <memory>

struct kiln_device {
  const kiln_host *host;
  cl_device_id id;
  cl_context context;
  cl_command_queue queue; // in order
  uint64_t allocated = 0;
};

struct kiln_buffer {
  kiln_device *device;
  cl_mem memory;
  uint64_t bytes;
};

namespace kiln::opencl {

/// Turns an OpenCL error into the interface's; KILN_SUCCESS for CL_SUCCESS.
int32_t check(cl_int code, const char *what, kiln_error *error);
std::string text(cl_device_id device, cl_device_info what);

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *reason, kiln_error *);
int32_t deviceInfo(const kiln_host *, uint32_t number, kiln_device_info *info, kiln_error *error);
int32_t openDevice(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error);
void closeDevice(kiln_device *device);
int32_t allocate(kiln_device *device, uint64_t bytes, kiln_buffer **buffer, kiln_error *error);
void release(kiln_buffer *buffer);
int32_t writeBuffer(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error);
int32_t readBuffer(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error);
int32_t copyBuffer(kiln_buffer *from, uint64_t fromOffset, kiln_buffer *to, uint64_t toOffset, uint64_t bytes,
                   kiln_error *error);
int32_t execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error);
int32_t wait(kiln_event *event, kiln_error *error);
int32_t profile(kiln_executable *executable, int32_t on, const kiln_profile_event **events, size_t *count,
                kiln_error *error);
int32_t counters(kiln_executable *executable, kiln_counters *out, kiln_error *error);

} // namespace kiln::opencl

struct kiln_executable {
  kiln_device *device = nullptr;
  const kiln_program *program = nullptr;
  kiln::opencl::Artifact artifact;
  cl_program code = nullptr;
  std::vector<std::vector<cl_kernel>> kernels; // of each kernel, its launches'
  cl_mem constants = nullptr, record = nullptr;
  std::vector<kiln_entry_info> entries;
  bool profiling = false;
  std::vector<std::pair<uint32_t, cl_event>> pending;
  std::vector<kiln_profile_event> events;
  kiln_counters counted = {};
};
