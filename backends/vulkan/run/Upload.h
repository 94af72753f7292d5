// From the host's memory into buffers, beside what is running.
#pragma once

#include "backends/vulkan/run/Memory.h"

namespace kiln::vulkan {

struct Buffer;
struct Device;

/// A ring of memory that the host writes and the device copies from. Small writes gather in a batch that the next
/// submission, or the next large write, sends on its way. The host waits only where the ring is full.
class Upload {
public:
  explicit Upload(Device &device) : device(device) {}
  Upload(const Upload &) = delete;
  ~Upload();

  /// `from` may be used again when it returns. Memory for the ring is taken at the first call.
  Failure write(Buffer &to, uint64_t offset, const void *from, uint64_t bytes);
  /// Sends the batch.
  Failure flush();

private:
  struct Copy {
    VkBuffer to;
    VkBufferCopy region;
  };
  struct Batch {
    VkCommandBuffer commands = VK_NULL_HANDLE;
    uint64_t number = 0; ///< on the upload time line; 0: never sent
    uint64_t end = 0;    ///< of the ring, when it has run
  };

  Device &device;
  RawBuffer ring;
  VkCommandPool pool = VK_NULL_HANDLE;
  std::vector<Batch> batches; ///< used in turn
  size_t current = 0;
  std::vector<Copy> copies;
  uint64_t gathered = 0;       ///< bytes in `copies`
  uint64_t lastUse = 0;        ///< of the buffers in `copies`: the latest
  uint64_t head = 0, tail = 0; ///< of the ring, ever growing; between them lie bytes that are not copied yet

  Failure start();
  Failure reserve(uint64_t bytes, uint64_t &at);
  Failure retire(Batch &batch);
  bool collides(VkBuffer to, uint64_t offset, uint64_t bytes) const;
};

} // namespace kiln::vulkan
