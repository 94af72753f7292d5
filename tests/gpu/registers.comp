// A product of two square matrices, cut as one would by hand for a graphics card: tiles of 128 x 128 in workgroup memory,
// 16 deep, 8 x 8 sums in the registers of each of 256 invocations, the next tiles fetched while these are multiplied.
//
// HALF: elements are f16, sums f32. LEFT_TURNED, RIGHT_TURNED: that operand is stored transposed. Sides: multiples of 16.
#extension GL_EXT_control_flow_attributes : require
#if HALF
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_16bit_storage : require
#define FOUR f16vec4
#else
#define FOUR vec4
#endif

layout(constant_id = 0) const int side = 1024;
layout(local_size_x = 256) in;
layout(set = 0, binding = 0) readonly buffer Left { FOUR left[]; };
layout(set = 0, binding = 1) readonly buffer Right { FOUR right[]; };
layout(set = 0, binding = 2) writeonly buffer Result { FOUR result[]; };

const int tile = 128, depth = 16, row = tile / 4 + 1; // one more vector a row keeps rows off each other's banks
shared vec4 lefts[depth * row], rights[depth * row];

// Vector `i` of 512 of an operand's tile. Turned or not, an operand's memory runs along the depth or along the tile.
vec4 fetchLeft(int i, int first, int at) {
#if LEFT_TURNED
  int k = at + i / 32, m = first + i % 32 * 4;
  return m < side ? vec4(left[(k * side + m) / 4]) : vec4(0);
#else
  int m = first + i / 4, k = at + i % 4 * 4;
  return m < side ? vec4(left[(m * side + k) / 4]) : vec4(0);
#endif
}

vec4 fetchRight(int i, int first, int at) {
#if RIGHT_TURNED
  int n = first + i / 4, k = at + i % 4 * 4;
  return n < side ? vec4(right[(n * side + k) / 4]) : vec4(0);
#else
  int k = at + i / 32, n = first + i % 32 * 4;
  return n < side ? vec4(right[(k * side + n) / 4]) : vec4(0);
#endif
}

void keepLeft(int i, vec4 v) {
#if LEFT_TURNED
  lefts[i / 32 * row + i % 32] = v;
#else
  for (int c = 0; c < 4; ++c)
    lefts[(i % 4 * 4 + c) * row + i / 16][i / 4 % 4] = v[c];
#endif
}

void keepRight(int i, vec4 v) {
#if RIGHT_TURNED
  for (int c = 0; c < 4; ++c)
    rights[(i % 4 * 4 + c) * row + i / 16][i / 4 % 4] = v[c];
#else
  rights[i / 32 * row + i % 32] = v;
#endif
}

void main() {
  const int i = int(gl_LocalInvocationIndex), across = i % 16, down = i / 16;
  const int m = int(gl_WorkGroupID.y) * tile, n = int(gl_WorkGroupID.x) * tile;
  vec4 sums[16];
  [[unroll]] for (int s = 0; s < 16; ++s)
    sums[s] = vec4(0);
  vec4 a0 = fetchLeft(i, m, 0), a1 = fetchLeft(i + 256, m, 0), b0 = fetchRight(i, n, 0), b1 = fetchRight(i + 256, n, 0);
  for (int at = 0; at < side; at += depth) {
    keepLeft(i, a0);
    keepLeft(i + 256, a1);
    keepRight(i, b0);
    keepRight(i + 256, b1);
    barrier();
    if (at + depth < side) {
      a0 = fetchLeft(i, m, at + depth);
      a1 = fetchLeft(i + 256, m, at + depth);
      b0 = fetchRight(i, n, at + depth);
      b1 = fetchRight(i + 256, n, at + depth);
    }
    [[unroll]] for (int k = 0; k < depth; ++k) {
      vec4 x[2] = {lefts[k * row + down], lefts[k * row + 16 + down]};
      vec4 y[2] = {rights[k * row + across], rights[k * row + 16 + across]};
      [[unroll]] for (int p = 0; p < 2; ++p)
        [[unroll]] for (int c = 0; c < 4; ++c)
          [[unroll]] for (int q = 0; q < 2; ++q)
            sums[(p * 4 + c) * 2 + q] = fma(vec4(x[p][c]), y[q], sums[(p * 4 + c) * 2 + q]);
    }
    barrier();
  }
  [[unroll]] for (int s = 0; s < 16; ++s) {
    int r = m + s / 8 * 64 + down * 4 + s / 2 % 4, c = n + s % 2 * 64 + across * 4;
    if (r < side && c < side)
      result[(r * side + c) / 4] = FOUR(sums[s]);
  }
}
