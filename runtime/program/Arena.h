// The one block of memory that temporaries live in.
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

  /// Makes the arena at least that large; all of its pages are there afterwards, so that no step pays for a page fault.
  void reserve(size_t bytes, ThreadPool &pool);
  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

private:
  uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

} // namespace kiln
