#include "Run.h"

#include <algorithm>
#include <cstring>

namespace kiln::opencl {

int32_t check(cl_int code, const char *what, kiln_error *error) {
  if (code == CL_SUCCESS)
    return KILN_SUCCESS;
  bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
                code == CL_OUT_OF_HOST_MEMORY || code == CL_INVALID_BUFFER_SIZE;
  return fail(error, memory ? KILN_ERROR_OUT_OF_MEMORY : KILN_ERROR_INTERNAL,
              std::string(what) + " failed with OpenCL's error " + std::to_string(code) +
                  (memory ? ": the device has no memory left; lower the batch or the context" : ""));
}

static const std::vector<cl_device_id> &devices() {
  static const std::vector<cl_device_id> all = [] {
    std::vector<cl_device_id> found;
    cl_uint count = 0;
    if (clGetPlatformIDs(0, nullptr, &count) != CL_SUCCESS)
      return found;
    std::vector<cl_platform_id> platforms(count);
    clGetPlatformIDs(count, platforms.data(), nullptr);
    for (cl_platform_id platform : platforms) {
      cl_uint here = 0;
      if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &here) != CL_SUCCESS)
        continue;
      found.resize(found.size() + here);
      clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, here, found.data() + found.size() - here, nullptr);
    }
    return found;
  }();
  return all;
}

std::string text(cl_device_id device, cl_device_info what) {
  size_t size = 0;
  clGetDeviceInfo(device, what, 0, nullptr, &size);
  std::string result(size, 0);
  clGetDeviceInfo(device, what, size, result.data(), nullptr);
  return result.c_str();
}

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *reason, kiln_error *) {
  static const std::string none = "no OpenCL device: install a driver (pocl-opencl-icd runs on any processor)";
  *count = static_cast<uint32_t>(devices().size());
  if (!*count && reason)
    *reason = {none.data(), none.size()};
  return KILN_SUCCESS;
}

static int32_t noDevice(uint32_t number, kiln_error *error) {
  return fail(error, KILN_ERROR_INVALID,
              "there is no OpenCL device " + std::to_string(number) + "; there are " +
                  std::to_string(devices().size()) + ", counted from 0");
}

int32_t deviceInfo(const kiln_host *, uint32_t number, kiln_device_info *info, kiln_error *error) {
  if (number >= devices().size())
    return noDevice(number, error);
  struct Words {
    std::string name, driver, reason;
  };
  static std::map<uint32_t, Words> kept; // strings live as long as the process
  cl_device_id id = devices()[number];
  Words &words = kept[number];
  words.name = text(id, CL_DEVICE_NAME);
  words.driver = text(id, CL_DEVICE_VERSION) + ", driver " + text(id, CL_DRIVER_VERSION);
  if (text(id, CL_DEVICE_EXTENSIONS).find("cl_khr_fp64") == std::string::npos)
    words.reason = "it lacks cl_khr_fp64";
  auto view = [](const std::string &s) { return kiln_string{s.data(), s.size()}; };
  cl_ulong memory = 0, largest = 0;
  clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(memory), &memory, nullptr);
  clGetDeviceInfo(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(largest), &largest, nullptr);
  kiln_device_info mine = {};
  mine.size = info->size;
  mine.usable = words.reason.empty();
  mine.name = view(words.name);
  mine.driver = view(words.driver);
  mine.reason = view(words.reason);
  mine.memory_bytes = memory;
  mine.max_allocation_bytes = largest;
  mine.flags = KILN_BACKEND_DETERMINISTIC;
  std::memcpy(info, &mine, std::min<size_t>(info->size, sizeof(mine)));
  return KILN_SUCCESS;
}

int32_t openDevice(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  if (number >= devices().size())
    return noDevice(number, error);
  auto opened = std::make_unique<kiln_device>(kiln_device{host, devices()[number], nullptr, nullptr});
  cl_int code;
  opened->context = clCreateContext(nullptr, 1, &opened->id, nullptr, nullptr, &code);
  if (int32_t bad = check(code, "opening the device", error))
    return bad;
  opened->queue = clCreateCommandQueue(opened->context, opened->id, CL_QUEUE_PROFILING_ENABLE, &code);
  if (int32_t bad = check(code, "making a queue", error)) {
    clReleaseContext(opened->context);
    return bad;
  }
  *device = opened.release();
  return KILN_SUCCESS;
}

void closeDevice(kiln_device *device) {
  clReleaseCommandQueue(device->queue);
  clReleaseContext(device->context);
  delete device;
}

//===-- Buffers ---------------------------------------------------------------------------------------------------===//

int32_t allocate(kiln_device *device, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  cl_ulong largest = 0;
  clGetDeviceInfo(device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(largest), &largest, nullptr);
  cl_int code = bytes > largest ? CL_INVALID_BUFFER_SIZE : CL_SUCCESS;
  cl_mem memory = nullptr;
  if (code == CL_SUCCESS)
    memory = clCreateBuffer(device->context, CL_MEM_READ_WRITE, std::max<uint64_t>(bytes, 1), nullptr, &code);
  std::string what =
      "allocating " + std::to_string(bytes) + " bytes (the device gives " + std::to_string(largest) + " at most)";
  if (int32_t bad = check(code, what.c_str(), error))
    return bad;
  device->allocated += bytes;
  *buffer = new kiln_buffer{device, memory, bytes};
  return KILN_SUCCESS;
}

void release(kiln_buffer *buffer) {
  if (!buffer)
    return;
  buffer->device->allocated -= buffer->bytes;
  clReleaseMemObject(buffer->memory);
  delete buffer;
}

static int32_t inside(const kiln_buffer &buffer, uint64_t offset, uint64_t bytes, kiln_error *error) {
  if (offset <= buffer.bytes && bytes <= buffer.bytes - offset)
    return KILN_SUCCESS;
  return fail(error, KILN_ERROR_INVALID,
              std::to_string(bytes) + " bytes at " + std::to_string(offset) + " reach beyond a buffer of " +
                  std::to_string(buffer.bytes));
}

int32_t writeBuffer(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  if (int32_t bad = inside(*to, offset, bytes, error); bad || !bytes)
    return bad;
  return check(clEnqueueWriteBuffer(to->device->queue, to->memory, CL_TRUE, offset, bytes, from, 0, nullptr, nullptr),
               "writing a buffer", error);
}

int32_t readBuffer(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  if (int32_t bad = inside(*from, offset, bytes, error); bad || !bytes)
    return bad;
  return check(clEnqueueReadBuffer(from->device->queue, from->memory, CL_TRUE, offset, bytes, to, 0, nullptr, nullptr),
               "reading a buffer", error);
}

int32_t copyBuffer(kiln_buffer *from, uint64_t fromOffset, kiln_buffer *to, uint64_t toOffset, uint64_t bytes,
                   kiln_error *error) {
  if (int32_t bad = inside(*from, fromOffset, bytes, error))
    return bad;
  if (int32_t bad = inside(*to, toOffset, bytes, error); bad || !bytes || (from == to && fromOffset == toOffset))
    return bad;
  return check(clEnqueueCopyBuffer(from->device->queue, from->memory, to->memory, fromOffset, toOffset, bytes, 0,
                                   nullptr, nullptr),
               "copying a buffer", error);
}

} // namespace kiln::opencl
