// An open device: its queue, its time line, its memory.
//
// All work of a device runs in one order, that of its time line: a semaphore that each submission waits for at the
// number of the one before, and sets to its own. Uploads have a time line of their own, since they may run on another
// queue while kernels compute; each waits for the last use of the buffer that it writes, and the next submission waits
// for it.
#pragma once

#include "backends/vulkan/run/Memory.h"
#include "backends/vulkan/run/Pipelines.h"
#include "backends/vulkan/run/SelfTest.h"
#include "backends/vulkan/run/Upload.h"

#include <span>

namespace kiln::vulkan {

struct Executable;

/// A semaphore that counts.
struct TimeLine {
  VkSemaphore semaphore = VK_NULL_HANDLE;
  uint64_t given = 0;   ///< the last submission's number
  uint64_t reached = 0; ///< as far as the host knows
};

/// What the host's kiln_device is. (In a namespace of its own, as all of this backend's types: a program may hold
/// several backends, and the ABI's names stand for another type in each.)
struct Device {
  const kiln_host *host;
  Instance &instance;
  PhysicalDevice physical;
  DeviceFunctions vk;
  VkDevice handle = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE, transferQueue = VK_NULL_HANDLE;
  TimeLine line, uploadLine;
  std::unique_ptr<Allocator> allocator;
  std::unique_ptr<Upload> upload;
  std::unique_ptr<PipelineCache> pipelines;
  std::vector<Executable *> executables; ///< loaded on it
  SelfTest selfTest{*this};
  uint64_t lastBufferId = 0;
  bool lost = false;

  Device(const kiln_host *host, Instance &instance, const PhysicalDevice &physical);
  Device(const Device &) = delete;
  ~Device();
  Failure open();

  /// What a result means; `doing` completes "while ...".
  Failure failure(VkResult result, const char *doing);
  /// The sentence for a request for memory that was not met.
  Failure outOfMemory(uint64_t bytes, const std::string &what);

  /// `what` names it in an error.
  Failure create(uint64_t bytes, Home home, const std::string &what, RawBuffer &buffer);
  void destroy(RawBuffer &buffer);

  /// A pool of the queue family and command buffers of it. `flags`: of the pool; `doing`: as failure() has it.
  Failure commands(uint32_t family, VkCommandPoolCreateFlags flags, const char *doing, VkCommandPool &pool,
                   std::span<VkCommandBuffer> buffers);
  /// Gives the commands to the compute queue, after all that was given before, uploads included.
  Failure submit(VkCommandBuffer commands);
  /// The next submission, on `queue`: sets `own` to its next number, waits for `other` at `otherValue`.
  Failure submit(VkQueue queue, VkCommandBuffer commands, TimeLine &own, const TimeLine &other, uint64_t otherValue);
  /// Returns when the time line is at `value`.
  Failure await(TimeLine &line, uint64_t value);
  /// Whether it is there now. A lost device is: nothing comes any more.
  bool isAt(TimeLine &line, uint64_t value);
  /// Commands that run once, for a copy: begin, record, submit and wait.
  Failure copyNow(VkBuffer from, VkBuffer to, const VkBufferCopy &region);

private:
  VkCommandPool pool = VK_NULL_HANDLE;
  VkCommandBuffer once = VK_NULL_HANDLE;
};

/// What the host's kiln_buffer is.
struct Buffer {
  Device *device = nullptr;
  RawBuffer raw;
  uint64_t bytes = 0;                   ///< as asked
  uint64_t id = 0;                      ///< never used again on the device
  bool staged = false;                  ///< the host does not see it
  uint64_t lastUse = 0, lastUpload = 0; ///< numbers on the device's time lines
};

} // namespace kiln::vulkan
