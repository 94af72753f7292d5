// Each block format as ggml's reference has it (ggml-quants.c), bit for bit in f32.
#include "frontend/gguf/Blocks.h"

#include "runtime/support/Tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace kiln::gguf {

namespace {

float halfAt(const uint8_t *bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return halfToFloat(bits);
}

/// Four bits of each number; the first half of the block is in the low ones. `high`: a fifth bit for each, or null.
template <typename Place> void nibbles(const uint8_t *low, const uint8_t *high, Place place) {
  uint32_t fifth = 0;
  if (high)
    std::memcpy(&fifth, high, 4);
  for (int i = 0; i < 16; ++i) {
    place(i, (low[i] & 15) | static_cast<int>((fifth >> i & 1) << 4));
    place(i + 16, (low[i] >> 4) | static_cast<int>((fifth >> (i + 16) & 1) << 4));
  }
}

/// Of eight sub-blocks, scale and minimum j, six bits each.
void scaleAndLeast(const uint8_t *packed, int j, float &scale, float &least) {
  int s = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
  int m = j < 4 ? packed[j + 4] & 63 : (packed[j + 4] >> 4) | (packed[j] >> 6) << 4;
  scale = static_cast<float>(s);
  least = static_cast<float>(m);
}

/// Of Q6_K, number i: four bits in one place, two in another.
int sixAt(const uint8_t *block, int i) {
  const uint8_t *low = block, *high = block + 128;
  int half = i / 128, part = i % 128 / 32, column = i % 32; // four parts of 32 share the bytes of `high`
  int four = low[64 * half + 32 * (part % 2) + column] >> (part / 2 * 4) & 15;
  int two = high[32 * half + column] >> (2 * part) & 3;
  return four | two << 4;
}

void splitQ4_0(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  *scales = halfAt(block);
  nibbles(block + 2, nullptr, [&](int i, int q) { numbers[i] = static_cast<int8_t>(q - 8); });
}

void splitQ4_1(const uint8_t *block, int8_t *numbers, float *scales, float *minimums) {
  *scales = halfAt(block), *minimums = halfAt(block + 2);
  nibbles(block + 4, nullptr, [&](int i, int q) { numbers[i] = static_cast<int8_t>(q); });
}

void splitQ5_0(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  *scales = halfAt(block);
  nibbles(block + 6, block + 2, [&](int i, int q) { numbers[i] = static_cast<int8_t>(q - 16); });
}

void splitQ5_1(const uint8_t *block, int8_t *numbers, float *scales, float *minimums) {
  *scales = halfAt(block), *minimums = halfAt(block + 2);
  nibbles(block + 8, block + 4, [&](int i, int q) { numbers[i] = static_cast<int8_t>(q); });
}

void splitQ8_0(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  *scales = halfAt(block);
  std::memcpy(numbers, block + 2, 32);
}

/// Q4_K and Q5_K: 256 numbers in eight sub-blocks of 32. `high`: a fifth bit for each, or null.
void splitK(const uint8_t *block, const uint8_t *high, const uint8_t *low, int8_t *numbers, float *scales,
            float *minimums) {
  float scale = halfAt(block), least = halfAt(block + 2);
  for (int j = 0; j < 8; ++j) {
    float s, m;
    scaleAndLeast(block + 4, j, s, m);
    scales[j] = scale * s, minimums[j] = -(least * m);
    const uint8_t *pair = low + 32 * (j / 2); // two sub-blocks in the two halves of each byte
    for (int i = 0; i < 32; ++i)
      numbers[32 * j + i] =
          static_cast<int8_t>((j % 2 ? pair[i] >> 4 : pair[i] & 15) | (high ? (high[i] >> j & 1) << 4 : 0));
  }
}

void splitQ4_K(const uint8_t *block, int8_t *numbers, float *scales, float *minimums) {
  splitK(block, nullptr, block + 16, numbers, scales, minimums);
}
void splitQ5_K(const uint8_t *block, int8_t *numbers, float *scales, float *minimums) {
  splitK(block, block + 16, block + 48, numbers, scales, minimums);
}

void splitQ6_K(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  float scale = halfAt(block + 208);
  for (int i = 0; i < 16; ++i)
    scales[i] = scale * static_cast<float>(static_cast<int8_t>(block[192 + i]));
  for (int i = 0; i < 256; ++i)
    numbers[i] = static_cast<int8_t>(sixAt(block, i) - 32);
}

/// Of two bits each, number i of 256: four rows of 32 in 32 bytes, twice.
int twoAt(const uint8_t *bytes, int i) { return bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

void splitQ2_K(const uint8_t *block, int8_t *numbers, float *scales, float *minimums) {
  float scale = halfAt(block + 80), least = halfAt(block + 82);
  for (int j = 0; j < 16; ++j) {
    scales[j] = scale * static_cast<float>(block[j] & 15);
    minimums[j] = -(least * static_cast<float>(block[j] >> 4));
  }
  for (int i = 0; i < 256; ++i)
    numbers[i] = static_cast<int8_t>(twoAt(block + 16, i));
}

/// A third bit for each, 4 less where it is 0; sixteen scales of six bits.
void splitQ3_K(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  const uint8_t *packed = block + 96;
  float scale = halfAt(block + 108);
  for (int j = 0; j < 16; ++j) {
    int four = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4, two = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
    scales[j] = scale * static_cast<float>((four | two << 4) - 32);
  }
  for (int i = 0; i < 256; ++i)
    numbers[i] = static_cast<int8_t>(twoAt(block + 32, i) - (block[i % 32] >> (i / 32) & 1 ? 0 : 4));
}

void placeCodes(const uint8_t *block, int8_t *numbers) {
  nibbles(block, nullptr, [&](int i, int q) { numbers[i] = static_cast<int8_t>(q); });
}

void splitIQ4_NL(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  *scales = halfAt(block);
  placeCodes(block + 2, numbers);
}

void splitIQ4_XS(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  float scale = halfAt(block);
  int high = block[2] | block[3] << 8;
  for (int j = 0; j < 8; ++j) {
    int four = block[4 + j / 2] >> (4 * (j % 2)) & 15, two = high >> (2 * j) & 3;
    scales[j] = scale * static_cast<float>((four | two << 4) - 32);
    placeCodes(block + 8 + 16 * j, numbers + 32 * j);
  }
}

void splitMXFP4(const uint8_t *block, int8_t *numbers, float *scales, float *) {
  *scales = std::ldexp(1.0F, block[0] - 127);
  placeCodes(block + 1, numbers);
}

constexpr BlockForm none{}, bytes{32}, bytesLifted{32, false, false, true}, bytesWide{32, false, true, true},
    sixteens{16, false, true}, sixteensLifted{16, false, true, true}, halves{32, true},
    halvesLifted{32, true, false, true}, halvesWide{32, true, true, true},
    unevenly{32, true, false, false, false, false, Coding::IQ4},
    unevenlyWide{32, true, true, false, false, false, Coding::IQ4},
    floating{32, true, true, false, false, false, Coding::E2M1};

constexpr BlockType types[] = {
    {0, "F32", 1, 4, KILN_F32, none, nullptr},
    {1, "F16", 1, 2, KILN_F16, none, nullptr},
    {2, "Q4_0", 32, 18, KILN_F32, halves, splitQ4_0},
    {3, "Q4_1", 32, 20, KILN_F32, halvesLifted, splitQ4_1},
    {6, "Q5_0", 32, 22, KILN_F32, bytes, splitQ5_0},
    {7, "Q5_1", 32, 24, KILN_F32, bytesLifted, splitQ5_1},
    {8, "Q8_0", 32, 34, KILN_F32, bytes, splitQ8_0},
    {10, "Q2_K", 256, 84, KILN_F32, sixteensLifted, splitQ2_K},
    {11, "Q3_K", 256, 110, KILN_F32, sixteens, splitQ3_K},
    {12, "Q4_K", 256, 144, KILN_F32, halvesWide, splitQ4_K},
    {13, "Q5_K", 256, 176, KILN_F32, bytesWide, splitQ5_K},
    {14, "Q6_K", 256, 210, KILN_F32, sixteens, splitQ6_K},
    {20, "IQ4_NL", 32, 18, KILN_F32, unevenly, splitIQ4_NL},
    {23, "IQ4_XS", 256, 136, KILN_F32, unevenlyWide, splitIQ4_XS},
    {30, "BF16", 1, 2, KILN_BF16, none, nullptr},
    {39, "MXFP4", 32, 17, KILN_F32, floating, splitMXFP4},
};
// Of a block at most.
constexpr int64_t mostElements = 256, mostScales = 16;
static_assert(std::all_of(std::begin(types), std::end(types), [](const BlockType &type) {
  return !type.split || (type.elements <= mostElements && type.elements / type.kept.size <= mostScales);
}));

struct Name {
  uint32_t number;
  const char *name;
};
constexpr Name others[] = {{9, "Q8_1"},     {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
                           {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"},   {22, "IQ2_S"},
                           {24, "I8"},      {25, "I16"},   {26, "I32"},     {27, "I64"},
                           {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"}};

} // namespace

void BlockType::widen(const uint8_t *block, float *out) const {
  if (!split) {
    *out = static_cast<float>(loadNumber(plain, block, 0));
    return;
  }
  int8_t numbers[mostElements];
  float scales[mostScales], minimums[mostScales];
  split(block, numbers, scales, minimums);
  for (int64_t i = 0; i < elements; ++i) {
    float number = kept.coding == Coding::None ? static_cast<float>(numbers[i])
                                               : codedNumber(kept.coding, static_cast<uint8_t>(numbers[i]));
    float product = scales[i / kept.size] * number;
    out[i] = kept.minimums ? product + minimums[i / kept.size] : product;
  }
}

const BlockType *blockType(uint32_t number) {
  for (const BlockType &type : types)
    if (type.number == number)
      return &type;
  return nullptr;
}

std::string typeName(uint32_t number) {
  if (const BlockType *type = blockType(number))
    return type->name;
  for (const Name &other : others)
    if (other.number == number)
      return other.name;
  return "?";
}

std::string knownTypes() {
  std::string names;
  for (const BlockType &type : types)
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

} // namespace kiln::gguf
