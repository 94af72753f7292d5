// A product of two square matrices of f16 by cooperative matrices, as one would write it by hand: tiles of 128 x 128 in
// workgroup memory, 32 deep, four subgroups that hold 64 x 64 sums of f32 each. The result is f32.
//
// LEFT_TURNED, RIGHT_TURNED: that operand is stored transposed. Sides: multiples of 128. glslang 12 knows these matrices in
// NVIDIA's form alone; the scopes 100 to 102 stand for a matrix's part (backends/vulkan/compile/MatrixWords.h).
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
#pragma use_vulkan_memory_model

layout(constant_id = 0) const int side = 1024;
layout(constant_id = 2) const int M = 16;
layout(constant_id = 3) const int N = 16;
layout(constant_id = 4) const int K = 16;
layout(local_size_x_id = 1, local_size_y = 4) in; // x: a subgroup
layout(set = 0, binding = 0) readonly buffer Left { uvec4 left[]; };
layout(set = 0, binding = 1) readonly buffer Right { uvec4 right[]; };
layout(set = 0, binding = 2) writeonly buffer Result { float result[]; };

// Eight halves a vector; one vector more a row keeps rows off each other's banks.
const int tile = 128, depth = 32, eight = 8;
const int alongDepth = depth / eight + 1, alongTile = tile / eight + 1;
shared uvec4 lefts[tile * alongDepth], rights[tile * alongDepth]; // the other way round takes less

// Where an operand's memory runs along the depth, a row of its tile is one place's; else one step's.
#define FETCH_PLACES(from, to, first)                                                                                  \
  for (int v = i; v < tile * depth / eight; v += threads)                                                              \
    to[v / 4 * alongDepth + v % 4] = from[((first + v / 4) * side + at) / eight + v % 4];
#define FETCH_STEPS(from, to, first)                                                                                   \
  for (int v = i; v < tile * depth / eight; v += threads)                                                              \
    to[v / 16 * alongTile + v % 16] = from[((at + v / 16) * side + first) / eight + v % 16];

void main() {
  const int i = int(gl_LocalInvocationIndex), threads = int(gl_WorkGroupSize.x) * 4;
  const int m = int(gl_WorkGroupID.y) * tile, n = int(gl_WorkGroupID.x) * tile;
  const int down = int(gl_SubgroupID) / 2 * 64, across = int(gl_SubgroupID) % 2 * 64;
  fcoopmatNV<32, 102, M, N> sums[(64 / M) * (64 / N)];
  [[unroll]] for (int s = 0; s < (64 / M) * (64 / N); ++s)
    sums[s] = fcoopmatNV<32, 102, M, N>(0.0);
  for (int at = 0; at < side; at += depth) {
#if LEFT_TURNED
    FETCH_STEPS(left, lefts, m)
#else
    FETCH_PLACES(left, lefts, m)
#endif
#if RIGHT_TURNED
    FETCH_PLACES(right, rights, n)
#else
    FETCH_STEPS(right, rights, n)
#endif
    barrier();
    [[unroll]] for (int k = 0; k < depth; k += K) {
      fcoopmatNV<16, 100, M, K> a[64 / M];
      [[unroll]] for (int p = 0; p < 64 / M; ++p) {
#if LEFT_TURNED
        coopMatLoadNV(a[p], lefts, uint(k * alongTile + (down + p * M) / eight), uint(alongTile), true);
#else
        coopMatLoadNV(a[p], lefts, uint((down + p * M) * alongDepth + k / eight), uint(alongDepth), false);
#endif
      }
      [[unroll]] for (int q = 0; q < 64 / N; ++q) {
        fcoopmatNV<16, 101, K, N> b;
#if RIGHT_TURNED
        coopMatLoadNV(b, rights, uint((across + q * N) * alongDepth + k / eight), uint(alongDepth), true);
#else
        coopMatLoadNV(b, rights, uint(k * alongTile + (across + q * N) / eight), uint(alongTile), false);
#endif
        [[unroll]] for (int p = 0; p < 64 / M; ++p)
          sums[p * (64 / N) + q] = coopMatMulAddNV(a[p], b, sums[p * (64 / N) + q]);
      }
    }
    barrier();
  }
  [[unroll]] for (int p = 0; p < 64 / M; ++p)
    [[unroll]] for (int q = 0; q < 64 / N; ++q)
      coopMatStoreNV(sums[p * (64 / N) + q], result, uint((m + down + p * M) * side + n + across + q * N), uint(side), false);
}
