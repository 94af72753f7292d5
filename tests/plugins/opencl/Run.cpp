// Loading: the driver compiles the artifact's source, or takes what it made of it the last time.
#include "Run.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace kiln::opencl {

static bool isProcessor(const kiln_device &device) {
  cl_device_type type = 0;
  clGetDeviceInfo(device.id, CL_DEVICE_TYPE, sizeof(type), &type, nullptr);
  return type & CL_DEVICE_TYPE_CPU;
}

static const char *optionsFor(const kiln_device &device) {
  return isProcessor(device) ? "-cl-std=CL1.2 -DKILN_PROCESSOR" : "-cl-std=CL1.2";
}

/// Where the driver's own code for this source and device is kept; empty: nowhere.
static std::string cachePath(const kiln_device &device, const std::string &source) {
  const kiln_host &host = *device.host;
  if (!host.cache_folder.size)
    return "";
  uint64_t hash = 14695981039346656037u; // FNV-1a
  for (char c : source + text(device.id, CL_DEVICE_NAME) + text(device.id, CL_DRIVER_VERSION) + optionsFor(device))
    hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  char name[48];
  std::snprintf(name, sizeof(name), "/opencl-%016llx.bin", static_cast<unsigned long long>(hash));
  return std::string(host.cache_folder.data, host.cache_folder.size) + name;
}

static cl_program fromCache(const kiln_device &device, const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (path.empty() || !file)
    return nullptr;
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  size_t size = bytes.size();
  auto *data = reinterpret_cast<const unsigned char *>(bytes.data());
  cl_int code, each;
  cl_program program = clCreateProgramWithBinary(device.context, 1, &device.id, &size, &data, &each, &code);
  if (code == CL_SUCCESS && clBuildProgram(program, 1, &device.id, optionsFor(device), nullptr, nullptr) == CL_SUCCESS)
    return program;
  if (program)
    clReleaseProgram(program);
  return nullptr; // the source is at hand
}

static void toCache(cl_program program, const std::string &path) {
  size_t size = 0;
  if (path.empty() || clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, nullptr) || !size)
    return;
  std::string bytes(size, 0);
  char *data = bytes.data();
  if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(data), &data, nullptr))
    return;
  std::string temporary = path + ".tmp";
  std::ofstream(temporary, std::ios::binary) << bytes;
  std::rename(temporary.c_str(), path.c_str());
}

static int32_t buildProgram(kiln_executable &self, kiln_error *error) {
  const kiln_device &device = *self.device;
  std::string path = cachePath(device, self.artifact.source);
  if ((self.code = fromCache(device, path)))
    return KILN_SUCCESS;
  const char *source = self.artifact.source.c_str();
  cl_int code;
  self.code = clCreateProgramWithSource(device.context, 1, &source, nullptr, &code);
  if (int32_t bad = check(code, "reading the program", error))
    return bad;
  code = clBuildProgram(self.code, 1, &device.id, optionsFor(device), nullptr, nullptr);
  if (code != CL_SUCCESS) {
    std::string log(900, 0);
    clGetProgramBuildInfo(self.code, device.id, CL_PROGRAM_BUILD_LOG, log.size(), log.data(), nullptr);
    return fail(error, KILN_ERROR_INTERNAL, "the driver does not compile the program: " + std::string(log.c_str()));
  }
  toCache(self.code, path);
  return KILN_SUCCESS;
}

static void unload(kiln_executable *executable) {
  for (auto [kernel, event] : executable->pending)
    clReleaseEvent(event);
  for (const auto &launches : executable->kernels)
    for (cl_kernel kernel : launches)
      clReleaseKernel(kernel);
  for (cl_mem memory : {executable->constants, executable->record})
    if (memory)
      clReleaseMemObject(memory);
  if (executable->code)
    clReleaseProgram(executable->code);
  delete executable;
}

static int32_t prepare(kiln_executable &self, const kiln_program_info &info, kiln_error *error) {
  if (int32_t bad = buildProgram(self, error))
    return bad;
  cl_int code;
  int others = isProcessor(*self.device) ? Launch::Others : Launch::Processors;
  for (Kernel &kernel : self.artifact.kernels) {
    self.kernels.emplace_back();
    std::erase_if(kernel.launches, [&](const Launch &launch) { return launch.devices == others; });
    for (const Launch &launch : kernel.launches) {
      cl_kernel made = clCreateKernel(self.code, launch.function.c_str(), &code);
      if (int32_t bad = check(code, "finding a kernel in the program", error))
        return bad;
      self.kernels.back().push_back(made);
    }
  }
  self.record = clCreateBuffer(self.device->context, CL_MEM_READ_WRITE, 64, nullptr, &code);
  if (int32_t bad = check(code, "allocating the status record", error))
    return bad;
  if (info.constant_bytes) {
    self.constants = clCreateBuffer(self.device->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, info.constant_bytes,
                                    const_cast<uint8_t *>(info.constants), &code);
    if (int32_t bad = check(code, "allocating the program's constants", error))
      return bad;
  }
  return KILN_SUCCESS;
}

static int32_t load(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
                    kiln_executable **executable, kiln_error *error) {
  const kiln_reader &reader = *device->host->reader;
  kiln_program_info info = {};
  info.size = sizeof(info);
  reader.program(program, &info);
  auto *self = new kiln_executable;
  self->device = device;
  self->program = program;
  int32_t bad = KILN_SUCCESS;
  if (!read({static_cast<const char *>(artifact), bytes}, self->artifact) ||
      self->artifact.kernels.size() != info.kernel_count)
    bad = fail(error, KILN_ERROR_INVALID, "the artifact is not one of the opencl backend's for this program");
  for (uint32_t i = 0; !bad && i < info.entry_count; ++i) {
    kiln_entry_info entry = {};
    entry.size = sizeof(entry);
    reader.entry(program, i, &entry);
    self->entries.push_back(entry);
  }
  if (!bad)
    bad = prepare(*self, info, error);
  if (bad) {
    unload(self);
    return bad;
  }
  *executable = self;
  return KILN_SUCCESS;
}

const kiln_run_api *runApi() {
  static const kiln_run_api api = {sizeof(api), deviceCount, deviceInfo, openDevice,  closeDevice, allocate,   nullptr,
                                   release,     nullptr,     nullptr,    writeBuffer, readBuffer,  copyBuffer, load,
                                   unload,      execute,     wait,       profile,     counters,    nullptr,    nullptr,
                                   nullptr,     nullptr,     nullptr,    nullptr};
  return &api;
}

} // namespace kiln::opencl
