// Memory that ends, or begins, where nothing can be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace kiln::conformance {

/// `size` bytes, up to whole lines of 64, before a page that can be neither read nor written, or behind one: whoever
/// reads behind them, or before them, ends the process. They are zeros, and aligned to 64.
class Walled {
public:
  /// data() is null where there is no memory for it.
  enum class Wall { Behind, Before };
  explicit Walled(size_t size, Wall wall = Wall::Behind) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), lines = (size + 63) / 64 * 64;
    mapped_ = (lines + page - 1) / page * page + page;
    void *memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return;
    memory_ = static_cast<uint8_t *>(memory);
    bool behind = wall == Wall::Behind;
    if (mprotect(behind ? memory_ + mapped_ - page : memory_, page, PROT_NONE) == 0)
      data_ = behind ? memory_ + mapped_ - page - lines : memory_ + page;
  }
  Walled(Walled &&other) noexcept
      : mapped_(other.mapped_), memory_(std::exchange(other.memory_, nullptr)), data_(other.data_) {}
  Walled &operator=(Walled &&) = delete;
  ~Walled() {
    if (memory_)
      munmap(memory_, mapped_);
  }
  uint8_t *data() const { return data_; }

private:
  size_t mapped_ = 0;
  uint8_t *memory_ = nullptr, *data_ = nullptr;
};

} // namespace kiln::conformance
