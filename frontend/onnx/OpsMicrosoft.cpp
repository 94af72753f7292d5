// The com.microsoft ops that optimised files hold (OpsQuantised.cpp has the quantised ones), by their documentation:
// https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
#include "frontend/onnx/Ops.h"

namespace kiln::onnx {

namespace {

//===-- Activations and products ---------------------------------------------------------------------------------===//

std::function<void(Call &)> gelu(bool tanh) {
  return [=](Call &call) { call.set(0, "gelu(" + plus(call, call.tensor(0), 1) + (tanh ? ", tanh=True)" : ")")); };
}

void quickGelu(Call &call) {
  double alpha = call.number("alpha", 1.702F);
  call.set(0, call.tensor(0) + " * sigmoid(" + numberText(alpha) + " * " + call.tensor(0) + ")");
}

void fusedMatmul(Call &call) {
  if (call.integer("transBatchA", 0) != 0 || call.integer("transBatchB", 0) != 0)
    refuse("its batch axes are moved");
  double alpha = call.number("alpha", 1);
  auto side = [&](size_t index, const char *name) {
    bool turned = call.integer(name, 0) != 0 && call.in(index).rank() > 1;
    return call.tensor(index) + (turned ? ".T" : "");
  };
  std::string out = side(0, "transA") + " @ " + side(1, "transB");
  call.set(0, alpha == 1 ? out : "(" + out + ") * " + numberText(alpha));
}

void inverse(Call &call) { call.set(0, "inv(" + call.tensor(0) + ")"); }

/// The distances between the rows of two matrices.
void distances(Call &call) {
  std::string metric = call.string("metric", "sqeuclidean"), a = call.tensor(0), b = call.tensor(1);
  if (metric != "sqeuclidean" && metric != "euclidean")
    refuse("its metric is '" + metric + "'; euclidean and sqeuclidean are there");
  call.set(0, metric == "euclidean" ? "cdist(" + a + ", " + b + ")"
                                    : "sum(square(" + a + "[:, None, :] - " + b + "[None, :, :]), axis=2)");
}

//===-- Norms ----------------------------------------------------------------------------------------------------===//

std::string normed(Call &call, const std::string &x, size_t gamma, bool simplified, double epsilon) {
  if (simplified)
    return "rms_norm(" + x + ", " + call.tensor(gamma) + keyword("epsilon", numberText(epsilon)) + ")";
  return "layer_norm(" + x + ", " + call.tensor(gamma) + (call.has(gamma + 1) ? ", " + call.tensor(gamma + 1) : "") +
         keyword("epsilon", numberText(epsilon)) + ")";
}

/// The norm of x + skip + bias, and that sum.
std::function<void(Call &)> skipNorm(bool simplified) {
  return [=](Call &call) {
    double epsilon = call.number("epsilon", simplified ? 1e-6F : 1e-12F);
    if (call.wants(1) || call.wants(2))
      refuse("it is asked for its mean or deviation");
    std::string sum = call.let("skipped", plus(call, call.tensor(0) + " + " + call.tensor(1), simplified ? 3 : 4));
    call.set(0, normed(call, sum, 2, simplified, epsilon));
    call.alias(3, call.typed(sum));
  };
}

void embedNorm(Call &call) {
  Value ids = call.in(0);
  double epsilon = call.number("epsilon", 1e-12F);
  bool counts = call.integer("mask_index_type", 1) != 0;
  if (ids.rank() != 2)
    refuse("its tokens are not [B, T]");
  std::string length = dimText(ids.shape[1]);
  std::string places = call.has(8) ? call.tensor(8) : "iota(" + length + ")";
  std::string sum =
      "take(" + call.tensor(2) + ", " + call.tensor(0) + ", 0) + take(" + call.tensor(3) + ", " + places + ", 0)";
  if (call.has(1) && call.has(4))
    sum += " + take(" + call.tensor(4) + ", " + call.tensor(1) + ", 0)";
  std::string name = call.let("embedded", sum);
  call.set(0, normed(call, name, 5, false, epsilon));
  call.set(1, call.has(7) && counts ? "sum(" + call.tensor(7) + ", axis=1).to(i32)"
                                    : "zeros(" + dimText(ids.shape[0]) + ", dtype=i32)");
  call.alias(2, call.typed(name));
}

//===-- Attention ------------------------------------------------------------------------------------------------===//

/// What is common: the arguments of `attended` behind q, k and v.
std::string attendedBy(Call &call, size_t mask, size_t added) {
  int64_t heads = call.integer("num_heads", 0);
  double filter = call.number("mask_filter_value", -10000), scale = call.number("scale", 0);
  if (heads < 1)
    refuse("its num_heads is " + std::to_string(heads));
  std::string out = ", " + std::to_string(heads);
  if (call.has(mask)) {
    if (call.in(mask).rank() > 3)
      refuse("its mask has " + std::to_string(call.in(mask).rank()) + " axes");
    out += keyword("mask", call.tensor(mask)) + keyword("hidden", numberText(filter));
  }
  out += optional(call, added, "added");
  out += scale != 0 ? keyword("scale", numberText(scale)) : "";
  return out + (call.integer("unidirectional", 0) != 0 ? ", causal=True)" : ")");
}

void attention(Call &call) {
  for (size_t past : {4, 6})
    if (call.has(past))
      refuse("it goes on from keys and values of before");
  if (call.wants(1) || call.integer("do_rotary", 0) != 0 || call.integer("past_present_share_buffer", 0) != 0)
    refuse("it keeps its keys and values, or turns them");
  std::vector<int64_t> sizes = call.integers("qkv_hidden_sizes");
  call.integer("rotary_embedding_dim", 0);
  std::string parts = sizes.empty() ? "3" : tupleText(sizes);
  std::string all = call.let("qkv", plus(call, call.tensor(0) + " @ " + call.tensor(1), 2));
  call.set(0, "attended(*split(" + all + ", " + parts + ")" + attendedBy(call, 3, 5));
}

void multiHead(Call &call) {
  for (size_t past : {6, 7, 8, 9})
    if (call.has(past))
      refuse("it goes on from keys and values of before");
  if (!call.has(1) || !call.has(2) || call.in(0).rank() != 3 || call.in(1).rank() != 3 || call.in(2).rank() != 3)
    refuse("its queries, keys and values are packed; [B, T, H * D] each is there");
  if (call.wants(1) || call.wants(2))
    refuse("it keeps its keys and values");
  std::string q = call.tensor(0), k = call.tensor(1), v = call.tensor(2);
  if (call.has(3)) {
    Dim width = call.in(0).shape[2], other = call.in(2).shape[2];
    std::string both = dimText(width), twice = dimText(width + width);
    q += " + " + call.tensor(3) + "[:" + both + "]";
    k += " + " + call.tensor(3) + "[" + both + ":" + twice + "]";
    v += " + " + call.tensor(3) + "[" + twice + ":" + dimText(width + width + other) + "]";
  }
  call.set(0, "attended(" + q + ", " + k + ", " + v + attendedBy(call, 4, 5));
}

void groupQuery(Call &call) {
  int64_t heads = call.integer("num_heads", 0), pairs = call.integer("kv_num_heads", 0),
          window = call.integer("local_window_size", -1);
  double scale = call.number("scale", 0), cap = call.number("softcap", 0);
  bool turns = call.integer("do_rotary", 0) != 0, interleaved = call.integer("rotary_interleaved", 0) != 0;
  if (heads < 1 || pairs < 1 || heads % pairs != 0)
    refuse("its num_heads is " + std::to_string(heads) + ", and its kv_num_heads " + std::to_string(pairs));
  if (window < -1 || window == 0 || cap < 0)
    refuse("its local_window_size is " + std::to_string(window) + ", and its softcap " + numberText(cap));
  if (call.has(10) || call.has(11) || call.integer("smooth_softmax", 0) > 0)
    refuse("numbers are added to its scores, or to their softmax");
  if (call.wants(3) || call.integer("qk_output", 0) != 0)
    refuse("it is asked for its scores");
  if (call.in(0).rank() != 3 || call.has(1) != call.has(2) || call.has(3) != call.has(4))
    refuse("its queries are not [B, T, H * D], or of keys and values one alone is there");
  if (turns && (!call.has(7) || !call.has(8)))
    refuse("it turns without cosines and sines");
  std::string out = "group_query_attention(" + call.tensor(0) + ", " + (call.has(1) ? call.tensor(1) : "None") + ", " +
                    (call.has(2) ? call.tensor(2) : "None") + ", " + call.tensor(5) + ", " + std::to_string(heads) +
                    ", " + std::to_string(pairs);
  out += optional(call, 3, "past_key") + optional(call, 4, "past_value");
  if (turns)
    out += optional(call, 7, "cosines") + optional(call, 8, "sines") + optional(call, 9, "positions") +
           (interleaved ? ", interleaved=True" : "");
  out += scale != 0 ? keyword("scale", numberText(scale)) : "";
  out += window >= 0 ? keyword("window", std::to_string(window)) : "";
  out += cap != 0 ? keyword("softcap", numberText(cap)) : "";
  call.setAll(out + ")", 3);
}

/// As ONNX's own, its inputs in another order.
void rotary(Call &call) {
  Value x = call.in(0);
  int64_t heads = call.integer("num_heads", 0), width = call.integer("rotary_embedding_dim", 0);
  bool interleaved = call.integer("interleaved", 0) != 0;
  if (call.integer("is_packed_batching", 0) != 0 || call.number("scale", 1) != 1)
    refuse("its rows are packed, or scaled");
  if (call.in(1).rank() != 2)
    refuse("its positions are one for all; [B, T] is there");
  std::optional<int64_t> half = call.in(2).rank() == 2 ? call.in(2).shape[1].constant() : std::nullopt;
  if (x.rank() == 3 && heads < 1) {
    std::optional<int64_t> all = x.shape[2].constant();
    if (!half || !all || *half < 1 || *all % (2 * *half) != 0)
      refuse("it has [B, T, H * D] and no num_heads");
    heads = *all / (2 * *half);
  }
  call.set(0, "onnx_rotary(" + call.tensor(0) + ", " + call.tensor(2) + ", " + call.tensor(3) + ", " + call.tensor(1) +
                  (x.rank() == 3 ? keyword("heads", std::to_string(heads)) : "") +
                  (width ? keyword("width", std::to_string(width)) : "") + (interleaved ? ", interleaved=True" : "") +
                  ")");
}

//===-- Quantised ------------------------------------------------------------------------------------------------===//

/// Rows of 4 or 8 bits with a scale for each block of them.
void matmulBits(Call &call) {
  int64_t bits = call.integer("bits", 4), block = call.integer("block_size", 32), n = call.integer("N", 0),
          k = call.integer("K", 0);
  call.integer("accuracy_level", 0);
  call.integer("weight_prepacked", 0);
  if (bits != 4 && bits != 8)
    refuse("it is of " + std::to_string(bits) + " bits; 4 and 8 are there");
  if (call.has(4))
    refuse("it has its groups in another order (g_idx)");
  if (block < 16 || n < 1 || k < 1 || call.in(1).rank() != 3)
    refuse("its K, N or block_size do not fit its weights");
  std::string zero = optional(call, 3, "zero");
  std::string weights = "block_weights(" + call.tensor(1) + ", " + call.tensor(2) + ", " + std::to_string(n) + ", " +
                        std::to_string(k) + ", " + std::to_string(bits) + zero + ")";
  call.set(0, plus(call, call.tensor(0) + " @ " + weights + ".T", 5));
}

} // namespace

std::vector<Op> microsoftOps() {
  const char *domain = "com.microsoft";
  return {
      {"Gelu", 1, "gelu(x)", gelu(false), "", domain},
      {"BiasGelu", 1, "gelu(a + b)", gelu(false), "", domain},
      {"FastGelu", 1, "gelu(x + bias, tanh=True)", gelu(true), "", domain},
      {"QuickGelu", 1, "x * sigmoid(1.702 * x)", quickGelu, "", domain},
      {"FusedMatMul", 1, "(a @ b.T) * alpha", fusedMatmul, "batch axes that are moved", domain},
      {"TransposeMatMul", 1, "(a @ b.T) * alpha", fusedMatmul, "", domain},
      {"Inverse", 1, "inv(x)", inverse, "", domain},
      {"CDist", 1, "cdist(a, b)", distances, "", domain},
      {"SkipLayerNormalization", 1, "layer_norm(x + skip + bias, scale, shift)", skipNorm(false),
       "its mean and deviation", domain},
      {"SkipSimplifiedLayerNormalization", 1, "rms_norm(x + skip + bias, scale)", skipNorm(true), "its deviation",
       domain},
      {"EmbedLayerNormalization", 1, "layer_norm(take(words, ids, 0) + take(places, iota(T), 0))", embedNorm, "",
       domain},
      {"Attention", 1, "attended(q, k, v, heads)", attention, "keys and values of before", domain},
      {"MultiHeadAttention", 1, "attended(q, k, v, heads)", multiHead, "packed inputs, keys and values of before",
       domain},
      {"GroupQueryAttention", 1, "group_query_attention(q, k, v, newest, heads, pairs)", groupQuery,
       "numbers added to its scores; caches that are longer than what they hold", domain},
      {"RotaryEmbedding", 1, "onnx_rotary(x, cos, sin, positions)", rotary, "a position for all; packed rows", domain},
      {"MatMulNBits", 1, "a @ block_weights(b, scales, n, k, 4).T", matmulBits, "groups in another order", domain},
  };
}

} // namespace kiln::onnx
