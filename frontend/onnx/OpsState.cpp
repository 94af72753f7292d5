// Ops along sequences that carry state, count or cache; random numbers; what may be missing.
#include "frontend/onnx/Ops.h"

#include <cmath>

namespace kiln::onnx {

static void convWithState(Call &call) {
  std::string activation = call.string("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    refuse("its activation is '" + activation + "'");
  Value x = call.in(0), w = call.in(1);
  if (x.rank() != 3 || w.rank() != 3 || !w.shape[2].constant())
    refuse("it wants [B, C, T] and filters [C, 1, k]; found " + typeText(x.dtype, x.shape) + " and " +
           typeText(w.dtype, w.shape));
  call.setAll("conv_with_state(" + call.tensor(0) + ", " + call.tensor(1) + optional(call, 2, "bias") +
                  optional(call, 3, "past") + (activation == "none" ? ")" : ", swish=True)"),
              2);
}

static void linearAttention(Call &call) {
  int64_t heads = call.integer("q_num_heads", 0), pairs = call.integer("kv_num_heads", 0);
  std::string rule = call.string("update_rule", "gated_delta");
  double scale = call.number("scale", 0);
  call.integer("chunk_size", 64);
  if (heads < 1 || pairs < 1 || heads % pairs != 0 || heads > (1 << 16))
    refuse("it has " + std::to_string(heads) + " heads of queries for " + std::to_string(pairs) + " of keys");
  bool fades = rule == "gated" || rule == "gated_delta", corrects = rule == "delta" || rule == "gated_delta";
  if (!fades && !corrects && rule != "linear")
    refuse("its update_rule is '" + rule + "'");
  if (fades != call.has(4) || corrects != call.has(5))
    refuse("its update_rule is '" + rule + "', which goes with " + (fades ? "a decay" : "no decay") + " and " +
           (corrects ? "a beta" : "no beta"));
  call.setAll("linear_attention(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) + ", " +
                  std::to_string(heads) + ", " + std::to_string(pairs) + optional(call, 3, "state") +
                  optional(call, 4, "decay") + optional(call, 5, "beta") +
                  (scale == 0 ? "" : keyword("scale", numberText(scale))) + ")",
              2);
}

static void tensorScatter(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", -2), x.rank());
  std::string mode = call.string("mode", "linear");
  if (axis == 0 || (mode != "linear" && mode != "circular"))
    refuse("its axis is " + std::to_string(axis) + " and its mode '" + mode + "'");
  call.set(0, "cache_updated(" + call.tensor(0) + ", " + call.tensor(1) + optional(call, 2, "places") +
                  (axis == 1 ? "" : keyword("axis", std::to_string(axis))) + (mode == "linear" ? ")" : ", ring=True)"));
}

/// The n-grams of a pool of numbers and where each is counted; of other lengths than are asked for there are none.
static void tfIdf(Call &call) {
  int64_t least = call.integer("min_gram_length", 1), most = call.integer("max_gram_length", 1),
          skips = call.integer("max_skip_count", 0);
  std::string mode = call.string("mode", "TF");
  std::vector<int64_t> pool = call.integers("pool_int64s"), begins = call.integers("ngram_counts"),
                       places = call.integers("ngram_indexes");
  std::vector<double> weights = call.numbers("weights");
  if (call.hasAttribute("pool_strings"))
    refuse("it counts texts");
  if (least < 1 || most < least || most > 64 || skips < 0 || skips > 1024 || pool.empty() || pool.size() > 4096 ||
      call.in(0).rank() < 1 || call.in(0).rank() > 2)
    refuse("it counts grams of " + std::to_string(least) + " to " + std::to_string(most) + " of " +
           std::to_string(pool.size()) + " numbers, which is not there");
  std::string grams, kept;
  size_t number = 0, size = 0;
  for (int64_t place : places)
    size = std::max(size, static_cast<size_t>(std::max<int64_t>(place, 0)) + 1);
  for (size_t n = 1; n <= begins.size(); ++n) {
    size_t from = static_cast<size_t>(begins[n - 1]),
           to = n < begins.size() ? static_cast<size_t>(begins[n]) : pool.size();
    if (from > to || to > pool.size() || (to - from) % n != 0)
      refuse("its ngram_counts do not divide its pool");
    for (size_t at = from; at < to; at += n, ++number) {
      if (number >= places.size() || places[number] < 0 || places[number] > 4096)
        refuse("its ngram_indexes do not fit its pool");
      if (static_cast<int64_t>(n) < least || static_cast<int64_t>(n) > most)
        continue;
      grams += (grams.empty() ? "" : ", ") + tupleText({pool.begin() + static_cast<std::ptrdiff_t>(at),
                                                        pool.begin() + static_cast<std::ptrdiff_t>(at + n)});
      kept += (kept.empty() ? "" : ", ") + std::to_string(places[number]);
    }
  }
  std::string out = "gram_counts(" + call.tensor(0) + ", [" + grams + "], [" + kept + "], " + std::to_string(size) +
                    (skips ? keyword("skips", std::to_string(skips)) : "") + ")";
  if (mode == "IDF")
    out = "(" + out + " > 0.0).to(f32)";
  else if (mode != "TF" && mode != "TFIDF")
    refuse("its mode is '" + mode + "'");
  if (mode != "TF" && !weights.empty()) {
    if (weights.size() != size)
      refuse("it has " + std::to_string(weights.size()) + " weights for " + std::to_string(size) + " counts");
    std::string list;
    for (double weight : weights)
      list += (list.empty() ? "" : ", ") + numberText(weight);
    out += " * stack(" + list + ")";
  }
  call.set(0, out);
}

static void melWeights(Call &call) {
  int64_t bins = call.constants(0, "its num_mel_bins").at(0), length = call.constants(1, "its dft_length").at(0),
          rate = call.constants(2, "its sample_rate").at(0);
  double low = call.floats(3, "its lower edge").at(0), high = call.floats(4, "its upper edge").at(0);
  if (call.integer("output_datatype", 1) != 1)
    refuse("it is not of f32");
  if (bins < 1 || bins > 4096 || length < 1 || length > (1 << 20) || rate < 1 || !(low >= 0) || !(high >= low))
    refuse("it has " + std::to_string(bins) + " bins of a spectrum of " + std::to_string(length));
  call.set(0, "mel_weight_matrix(" + std::to_string(bins) + ", " + std::to_string(length) + ", " +
                  std::to_string(rate) + ", " + numberText(low) + ", " + numberText(high) + ")");
}

static void optionalGet(Call &call) { call.alias(0, call.in(0)); }

static void optionalHas(Call &call) { call.know(0, KILN_BOOL, {}, {Element(Dim(call.has(0) ? 1 : 0))}); }

/// random_normal(…) or random_uniform(…) of a shape, moved and spread. Its numbers are Kiln's, by the program's seed.
static void random(Call &call, bool like, bool normal) {
  std::vector<Dim> shape;
  kiln_dtype dtype = like ? call.in(0).dtype : KILN_F32;
  if (like)
    shape = call.in(0).shape;
  else
    for (int64_t extent : call.integers("shape"))
      shape.emplace_back(extent);
  call.number("seed", 0);
  if (int64_t asked = call.integer("dtype", 0); asked) {
    std::optional<kiln_dtype> known = dtypeOf(asked);
    if (!known || !isFloat(*known))
      refuse("it draws " + dataTypeName(asked));
    dtype = *known;
  }
  double low = normal ? call.number("mean", 0) : call.number("low", 0),
         spread = normal ? call.number("scale", 1) : call.number("high", 1) - low;
  std::string out = (normal ? "random_normal(" : "random_uniform(") + dimsText(shape) + ")";
  out += spread == 1 ? "" : " * " + numberText(spread);
  out += low == 0 ? "" : " + " + numberText(low);
  call.set(0, dtype == KILN_F32 ? out : "(" + out + ").to(" + dtypeName(dtype) + ")");
}

static void bernoulli(Call &call) {
  Value x = call.in(0);
  call.number("seed", 0);
  int64_t asked = call.integer("dtype", 0);
  std::optional<kiln_dtype> to = asked ? dtypeOf(asked) : x.dtype;
  if (!to)
    refuse("it draws " + dataTypeName(asked));
  call.set(0, "(random_uniform(" + dimsText(x.shape) + ") < " + call.tensor(0) +
                  (x.dtype == KILN_F32 ? "" : ".to(f32)") + ").to(" + dtypeName(*to) + ")");
}

std::vector<Op> stateOps() {
  auto drawn = [](bool like, bool normal) { return [=](Call &call) { random(call, like, normal); }; };
  return {
      {"CausalConvWithState", 27, "conv_with_state(x, w, bias, past)", convWithState},
      {"LinearAttention", 27, "linear_attention(q, k, v, heads, pairs)", linearAttention},
      {"TensorScatter", 24, "cache_updated(cache, update, places)", tensorScatter},
      {"TfIdfVectorizer", 9, "gram_counts(x, grams, places, size)", tfIdf, "texts"},
      {"MelWeightMatrix", 17, "mel_weight_matrix(bins, length, rate, low, high)", melWeights,
       "sizes that depend on data"},
      {"Det", 11, "det({0})", {}},
      {"OptionalGetElement", 15, "x", optionalGet},
      {"OptionalHasElement", 15, "True", optionalHas},
      {"RandomNormal", 7, "random_normal(2, 3)", drawn(false, true)},
      {"RandomNormalLike", 7, "random_normal(2, 3)", drawn(true, true)},
      {"RandomUniform", 7, "random_uniform(2, 3)", drawn(false, false)},
      {"RandomUniformLike", 7, "random_uniform(2, 3)", drawn(true, false)},
      {"Bernoulli", 15, "(random_uniform(2, 3) < x).to(f32)", bernoulli},
  };
}

} // namespace kiln::onnx
