// SHA-256 (FIPS 180-4), to tell whether a file is the one that a program was built with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kiln {

std::array<uint8_t, 32> sha256(const uint8_t *data, size_t size);

} // namespace kiln
