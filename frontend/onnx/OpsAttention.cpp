// Attention and its kin, losses, windows of signals: ops that are a whole function of frontend/nn/onnx.kiln.
#include "frontend/onnx/Ops.h"

namespace kiln::onnx {

static void attention(Call &call) {
  Value q = call.in(0), k = call.in(1), v = call.in(2);
  if ((q.rank() != 3 && q.rank() != 4) || k.rank() != q.rank() || v.rank() != q.rank())
    refuse("it wants [B, H, T, D] or [B, T, H * D]");
  int64_t heads = call.integer("q_num_heads", 0), pairs = call.integer("kv_num_heads", 0);
  int64_t mode = call.integer("qk_matmul_output_mode", 0), left = call.integer("left_window_size", -1),
          right = call.integer("right_window_size", -1);
  call.integer("softmax_precision", 0);
  std::string out = "onnx_attention(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2);
  const char *names[] = {"mask", "past_key", "past_value", "lengths"};
  for (size_t i = 3; i < 7; ++i)
    if (call.has(i))
      out += keyword(names[i - 3], call.tensor(i));
  if (q.rank() == 3) {
    if (heads < 1 || pairs < 1)
      refuse("it has [B, T, H * D] and no q_num_heads or kv_num_heads");
    out += keyword("heads", std::to_string(heads)) + keyword("pairs", std::to_string(pairs));
  }
  if (call.hasAttribute("scale"))
    out += keyword("scale", numberText(call.number("scale", 1)));
  if (double cap = call.number("softcap", 0); cap > 0)
    out += keyword("softcap", numberText(cap));
  if (call.integer("is_causal", 0) != 0)
    out += ", causal=True";
  if (left >= 0 || right >= 0)
    out += keyword("window", "(" + std::to_string(left) + ", " + std::to_string(right) + ")");
  if (mode != 0)
    out += keyword("tell", std::to_string(mode));
  out += ")";
  if (call.wants(1) || call.wants(2) || call.wants(3))
    return call.setAll(out, 4);
  call.set(0, out + "[0]");
}

static void rotary(Call &call) {
  Value x = call.in(0);
  int64_t heads = call.integer("num_heads", 0), width = call.integer("rotary_embedding_dim", 0);
  bool interleaved = call.integer("interleaved", 0) != 0;
  if (x.rank() == 3 && heads < 1)
    refuse("it has [B, T, H * D] and no num_heads");
  std::string places = optional(call, 3, "positions");
  call.set(0, "onnx_rotary(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) + places +
                  (x.rank() == 3 ? keyword("heads", std::to_string(heads)) : "") +
                  (width ? keyword("width", std::to_string(width)) : "") + (interleaved ? ", interleaved=True" : "") +
                  ")");
}

/// Both losses take scores [N, C, …] and targets [N, …]; the first one wants their softmax.
static std::function<void(Call &)> loss(bool softmax) {
  return [=](Call &call) {
    std::string reduction = call.string("reduction", "mean");
    if (reduction != "mean" && reduction != "sum" && reduction != "none")
      refuse("its reduction is '" + reduction + "'");
    std::string logs =
        softmax ? call.let("log_probabilities", "log_softmax(" + call.tensor(0) + ", axis=1)") : call.tensor(0);
    std::string out = "onnx_nll(" + logs + ", " + call.tensor(1) + optional(call, 2, "weight");
    if (call.hasAttribute("ignore_index"))
      out += keyword("ignore_index", std::to_string(call.integer("ignore_index", -100)));
    call.set(0, out + keyword("reduction", "\"" + reduction + "\"") + ")");
    if (softmax && call.wants(1))
      call.alias(1, call.typed(logs));
  };
}

/// a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n)
static std::function<void(Call &)> signalWindow(const char *function) {
  return [=](Call &call) {
    Dim size = call.dims(0, "its size").at(0);
    bool periodic = call.integer("periodic", 1) != 0;
    std::optional<kiln_dtype> dtype = dtypeOf(call.integer("output_datatype", 1));
    if (!dtype)
      refuse("its result is of a type that Kiln does not have");
    std::string out = std::string(function) + "(" + dimText(size) + (periodic ? ")" : ", periodic=False)");
    call.set(0, *dtype == KILN_F32 ? out : out + ".to(" + dtypeName(*dtype) + ")");
  };
}

static void cumProd(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.constants(1, "its axis").at(0), x.rank());
  bool exclusive = call.integer("exclusive", 0) != 0, reverse = call.integer("reverse", 0) != 0;
  std::string at = std::to_string(axis), in = reverse ? "reverse(" + call.tensor(0) + ", " + at + ")" : call.tensor(0);
  if (exclusive) {
    std::vector<Dim> low(x.rank(), Dim(0)), high(x.rank(), Dim(0));
    low[axis] = Dim(1), high[axis] = Dim(-1);
    std::string one = isFloat(x.dtype) ? "1.0" : "1";
    std::vector<Dim> shape = x.shape;
    shape[axis] = shape[axis] - Dim(1);
    std::string cut = in + "[" + [&] {
      std::string out;
      for (int64_t i = 0; i < axis; ++i)
        out += ":, ";
      return out;
    }() + ":-1]";
    high[axis] = Dim(0);
    in = padded(call, cut, shape, low, high, one);
  }
  std::string out = "cumprod(" + in + ", " + at + ")";
  call.set(0, reverse ? "reverse(" + out + ", " + at + ")" : out);
}

static void centerCropPad(Call &call) {
  Value x = call.in(0);
  std::vector<Dim> shape = call.dims(1, "its shape");
  std::vector<int64_t> axes = call.integers("axes");
  if (axes.empty())
    for (int64_t i = 0; i < x.rank(); ++i)
      axes.push_back(i);
  if (axes.size() != shape.size())
    refuse("it has a size for other than its " + std::to_string(axes.size()) + " axes");
  std::vector<Dim> low(x.rank(), Dim(0)), high(x.rank(), Dim(0));
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = call.axis(axes[i], x.rank());
    Dim more = shape[i] - x.shape[axis];
    bool grows = call.importer.isNonNegative(more);
    low[axis] = grows ? more.floordiv(2) : Dim(0) - (Dim(0) - more).floordiv(2);
    high[axis] = more - low[axis];
  }
  std::string out = padded(call, call.tensor(0), x.shape, low, high, "0.0");
  out == call.tensor(0) ? call.alias(0, x) : call.set(0, out);
}

static void swiglu(Call &call) {
  double alpha = call.number("alpha", 1);
  std::string a = call.tensor(0),
              gate = alpha == 1 ? "silu(" + a + ")" : a + " * sigmoid(" + numberText(alpha) + " * " + a + ")";
  call.set(0, gate + " * " + call.tensor(1));
}

std::vector<Op> attentionOps() {
  return {
      {"Attention", 23, "onnx_attention(q, k, v, causal=True)", attention},
      {"RotaryEmbedding", 23, "onnx_rotary(x, cos, sin)", rotary},
      {"SoftmaxCrossEntropyLoss", 12, "onnx_nll(log_softmax(x, axis=1), targets)", loss(true)},
      {"NegativeLogLikelihoodLoss", 12, "onnx_nll(x, targets)", loss(false)},
      {"HannWindow", 17, "hann_window(n)", signalWindow("hann_window")},
      {"HammingWindow", 17, "onnx_hamming_window(n)", signalWindow("onnx_hamming_window")},
      {"BlackmanWindow", 17, "blackman_window(n)", signalWindow("blackman_window")},
      {"CumProd", 26, "cumprod(x, axis)", cumProd},
      {"CenterCropPad", 18, "pad(x, low, high)", centerCropPad},
      {"SwiGLU", 28, "silu(x) * gate", swiglu},
  };
}

} // namespace kiln::onnx
