#include "runtime/program/Arena.h"

#include "runtime/support/Error.h"
#include "runtime/threads/ThreadPool.h"

#include <algorithm>
#include <sys/mman.h>

namespace kiln {

static constexpr size_t page = 4096, largePage = 2 << 20;

Arena::~Arena() { unmap(); }

void Arena::unmap() {
  if (data_)
    munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

void Arena::map(size_t bytes, const char *what, const char *help) {
  unmap();
  size_t size = (bytes + page - 1) / page * page;
  // Beginning with a large page, where there are some.
  size_t spare = size >= largePage ? largePage : 0;
  void *address = mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    fail("out of memory: the model's %s need %zu bytes%s", what, bytes, help);
  auto begin = reinterpret_cast<uintptr_t>(address), first = (begin + spare) / largePage * largePage;
  if (!spare)
    first = begin;
  if (first > begin)
    munmap(address, first - begin);
  if (first < begin + spare)
    munmap(reinterpret_cast<void *>(first + size), begin + spare - first);
  data_ = reinterpret_cast<uint8_t *>(first);
  size_ = size;
  madvise(data_, size_, MADV_HUGEPAGE);
}

/// Calls `piece` with each large page's bytes, on all threads.
template <typename Piece> static void eachPiece(uint8_t *data, size_t bytes, ThreadPool &pool, Piece piece) {
  pool.forRange(static_cast<int64_t>((bytes + largePage - 1) / largePage), [&](int64_t begin, int64_t end) {
    size_t first = static_cast<size_t>(begin) * largePage, last = std::min(static_cast<size_t>(end) * largePage, bytes);
    piece(data + first, last - first);
  });
}

void Arena::reserve(size_t bytes, bool whole, ThreadPool &pool) {
  if (bytes <= size_)
    return;
  // Only temporaries live here: nothing needs to be kept.
  map(bytes, "temporaries", "; a smaller batch or --bound needs less");
  if (!whole)
    return;
  eachPiece(data_, size_, pool, [](uint8_t *piece, size_t length) {
    for (size_t i = 0; i < length; i += page)
      static_cast<volatile uint8_t *>(piece)[i] = 0;
  });
}

void populate(uint8_t *data, size_t bytes, ThreadPool &pool) {
#ifndef MADV_POPULATE_WRITE
  constexpr int MADV_POPULATE_WRITE = 23;
#endif
  auto begin = reinterpret_cast<uintptr_t>(data), from = (begin + page - 1) / page * page,
       to = (begin + bytes) / page * page;
  if (from < to)
    eachPiece(reinterpret_cast<uint8_t *>(from), to - from, pool,
              [](uint8_t *piece, size_t length) { madvise(piece, length, MADV_POPULATE_WRITE); });
}

} // namespace kiln
