#include "runtime/program/Arena.h"

#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <algorithm>
#include <sys/mman.h>

namespace kiln {

Arena::~Arena() {
  if (data_)
    munmap(data_, size_);
}

void Arena::reserve(size_t bytes, ThreadPool &pool) {
  if (bytes <= size_)
    return;
  // Only temporaries live here: nothing needs to be kept.
  if (data_)
    munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
  constexpr size_t page = 4096;
  size_t size = (bytes + page - 1) / page * page;
  void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    fail("out of memory: the model's temporaries need %zu bytes; a smaller batch or --bound needs less", bytes);
  data_ = static_cast<uint8_t *>(address);
  size_ = size;
  madvise(data_, size_, MADV_HUGEPAGE);
  constexpr size_t piece = 2 << 20; // a large page
  pool.forRange(static_cast<int64_t>((size_ + piece - 1) / piece), [&](int64_t begin, int64_t end) {
    size_t last = std::min(static_cast<size_t>(end) * piece, size_);
    for (size_t i = static_cast<size_t>(begin) * piece; i < last; i += page)
      static_cast<volatile uint8_t *>(data_)[i] = 0;
  });
}

} // namespace kiln
