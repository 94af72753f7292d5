// What both sides know of the self-test: which numbers its kernels are given.
#pragma once

#include "backends/api/kiln_backend.h"
#include <cstdint>
#include <cstring>

namespace kiln::vulkan {

/// Element i of a kernel's operand: small whole numbers, whose sums and products are exact. Those of i32 are indices,
/// from 0 to 5.
inline int64_t trialNumber(uint32_t operand, uint64_t i, kiln_dtype dtype) {
  auto number = static_cast<int64_t>((i * 7 + i / 13 * 3 + operand * static_cast<uint64_t>(5)) % 11) - 5;
  return dtype == KILN_I32   ? number < 0 ? -number : number
         : dtype == KILN_I64 ? number * (static_cast<int64_t>(1) << 33)
                             : number;
}

/// The number as the dtype has it in memory.
inline void storeNumber(int64_t number, kiln_dtype dtype, uint8_t *to) {
  auto single = static_cast<float>(number);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  auto half = static_cast<uint16_t>(number == 0 ? 0 : (bits >> 16 & 0x8000) | ((bits >> 13) - (112 << 10) & 0x7fff)),
       brain = static_cast<uint16_t>(bits >> 16);
  auto whole = static_cast<double>(number);
  auto narrow = static_cast<int32_t>(number);
  switch (dtype) {
  case KILN_F32:
    std::memcpy(to, &single, 4);
    return;
  case KILN_F64:
    std::memcpy(to, &whole, 8);
    return;
  case KILN_F16:
    std::memcpy(to, &half, 2);
    return;
  case KILN_BF16:
    std::memcpy(to, &brain, 2);
    return;
  case KILN_I32:
    std::memcpy(to, &narrow, 4);
    return;
  case KILN_I64:
    std::memcpy(to, &number, 8);
    return;
  default: // i8
    *to = static_cast<uint8_t>(number);
  }
}

} // namespace kiln::vulkan
