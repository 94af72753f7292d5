// Blocks of memory in large pages: the one that temporaries live in, and those of parameters and states.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln {

class ThreadPool;

class Arena {
public:
  Arena() = default;
  Arena(const Arena &) = delete;
  ~Arena();

  /// Makes the arena at least that large. `whole`: all of it is going to be used, so that its pages are there
  /// afterwards, and no step pays for a page fault; others come with what is used of it first.
  void reserve(size_t bytes, bool whole, ThreadPool &pool);
  /// Takes so many bytes, zeros, whose pages come as they are read or written. `what`, of the model, and what would
  /// help, are for the error where there is no room.
  void map(size_t bytes, const char *what, const char *help = "");
  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

private:
  void unmap();

  uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

/// Brings in the pages of what is to be written, on all threads, and leaves what they hold. A page that is read before
/// it is written would come twice, and where large pages are, in small ones, by most kernels. Older ones than 5.14 do
/// nothing here.
void populate(uint8_t *data, size_t bytes, ThreadPool &pool);

} // namespace kiln
