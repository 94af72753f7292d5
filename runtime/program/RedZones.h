// Memory that no kernel may write, around each buffer of a program that was built with --red-zones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kiln {

/// Around an argument; those of the arena stand in the manifest.
inline constexpr size_t redZoneBytes = 512;

/// NaN in every float format, and no integer that one counts with. Which of its two bytes stands where goes by the
/// offset, so that an element that is read across a zone's edge is whole.
void fillRedZone(uint8_t *data, size_t bytes, size_t offset = 0);
/// The first byte that is no longer as it was filled, or `bytes`.
size_t firstWritten(const uint8_t *data, size_t bytes, size_t offset = 0);

} // namespace kiln
