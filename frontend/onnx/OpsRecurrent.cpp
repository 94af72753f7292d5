// LSTM, GRU and RNN, as calls of frontend/nn/onnx.kiln: the gates stand in the order that the file has them in.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

namespace {
/// One of ONNX's activations: a function of Kiln's, and what its alpha and beta are where nothing is said; `takes`: how
/// many of the two it has.
struct Activation {
  const char *name, *function;
  size_t takes = 0;
  double alpha = 0, beta = 0;
};
} // namespace

static const Activation &activationOf(const std::string &name) {
  static const Activation all[] = {{"sigmoid", "sigmoid"},
                                   {"tanh", "tanh"},
                                   {"relu", "relu"},
                                   {"softplus", "softplus"},
                                   {"softsign", "softsign"},
                                   {"hardsigmoid", "onnx_hard_sigmoid", 2, 0.2F, 0.5},
                                   {"leakyrelu", "leaky_relu", 1, 0.01F},
                                   {"thresholdedrelu", "onnx_thresholded", 1, 1},
                                   {"elu", "elu", 1, 1},
                                   {"affine", "onnx_affine", 2, 1, 0},
                                   {"scaledtanh", "onnx_scaled_tanh", 2, 1, 1}};
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const Activation &known : all)
    if (lower == known.name)
      return known;
  refuse("its activation '" + name + "' is not there");
}

/// ", activations=((sigmoid,), (tanh,))" where they are not the usual ones: `count` for both directions, or for each.
/// Those that have numbers take them in turn from activation_alpha and activation_beta.
static std::string activations(Call &call, size_t count, const std::vector<std::string> &usual, int64_t ways) {
  const Attribute *given = call.attribute("activations");
  std::vector<double> alphas = call.numbers("activation_alpha"), betas = call.numbers("activation_beta");
  if (!given)
    return "";
  if (given->kind != Attribute::Strings || given->texts.size() != count * static_cast<size_t>(ways))
    refuse("its activations are not " + std::to_string(count * static_cast<size_t>(ways)) + " names");
  size_t alpha = 0, beta = 0;
  std::vector<std::string> written;
  bool plain = true, isOne = true; // the same in both directions
  for (size_t i = 0; i < given->texts.size(); ++i) {
    const Activation &kind = activationOf(given->texts[i]);
    std::string one = kind.function;
    if (kind.takes > 0)
      one += ", " + numberText(alpha < alphas.size() ? alphas[alpha++] : kind.alpha);
    if (kind.takes > 1)
      one += ", " + numberText(beta < betas.size() ? betas[beta++] : kind.beta);
    written.push_back("(" + one + (kind.takes ? ")" : ",)"));
    isOne &= i < count || written[i] == written[i - count];
    plain &= usual[i % count] == kind.function;
  }
  std::string out;
  if (isOne)
    written.resize(count);
  for (const std::string &one : written)
    out += (out.empty() ? "" : ", ") + one;
  return plain ? "" : ", activations=(" + out + (written.size() == 1 ? ",)" : ")");
}

namespace {
/// What the three have in common.
struct Recurrent {
  std::string arguments; // x, w, r, bias and the keywords
  int64_t ways = 1;
  bool batchFirst = false;
};
} // namespace

static Recurrent begin(Call &call, size_t activationCount, const std::vector<std::string> &usual) {
  Recurrent out;
  std::string direction = call.string("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    refuse("its direction is '" + direction + "'");
  out.ways = direction == "bidirectional" ? 2 : 1;
  out.batchFirst = call.integer("layout", 0) != 0;
  call.integer("hidden_size", 0);
  double clip = call.number("clip", 0);
  if (clip < 0)
    refuse("its clip is " + numberText(clip));
  Value x = call.in(0), w = call.in(1), r = call.in(2);
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3 || w.shape[0] != Dim(out.ways))
    refuse("its input, W and R are not of three axes, with " + std::to_string(out.ways) + " direction(s)");
  std::string input = out.batchFirst ? "transpose(" + call.tensor(0) + ", 0, 1)" : call.tensor(0);
  out.arguments = input + ", " + call.tensor(1) + ", " + call.tensor(2);
  if (call.has(3))
    out.arguments += ", bias=" + call.tensor(3);
  if (call.has(4))
    out.arguments += ", lengths=" + call.tensor(4);
  auto state = [&](size_t index, const char *name) {
    if (call.has(index))
      out.arguments +=
          keyword(name, out.batchFirst ? "transpose(" + call.tensor(index) + ", 0, 1)" : call.tensor(index));
  };
  state(5, "h");
  if (call.node.type.ends_with("LSTM"))
    state(6, "c");
  if (direction == "reverse")
    out.arguments += ", reverse=True";
  out.arguments += activations(call, activationCount, usual, out.ways);
  if (clip > 0)
    out.arguments += keyword("limit", numberText(clip));
  return out;
}

static void finish(Call &call, const Recurrent &recurrent, const std::string &expression, size_t results) {
  if (!recurrent.batchFirst)
    return call.setAll(expression, results);
  std::vector<std::string> names;
  for (size_t i = 0; i < results; ++i)
    names.push_back(call.importer.fresh(call.wants(i) ? call.node.outputs[i] : "unused", "v"));
  call.importer.write(names, expression);
  call.set(0, "permute(" + names[0] + ", 2, 0, 1, 3)"); // [T, ways, B, H] to [B, T, ways, H]
  for (size_t i = 1; i < results; ++i)
    call.set(i, "transpose(" + names[i] + ", 0, 1)");
}

static void lstmBy(Call &call, const char *function, const std::vector<std::pair<size_t, const char *>> &more) {
  Recurrent r = begin(call, 3, {"sigmoid", "tanh", "tanh"});
  for (auto [index, name] : more)
    r.arguments += optional(call, index, name);
  if (call.integer("input_forget", 0) != 0)
    r.arguments += ", coupled=True";
  if (call.has(7))
    r.arguments += ", peepholes=" + call.tensor(7);
  finish(call, r, std::string(function) + "(" + r.arguments + ")", 3);
}

static void lstm(Call &call) { lstmBy(call, "onnx_lstm", {}); }

static void dynamicLstm(Call &call) {
  if (!call.has(8) || !call.has(10))
    refuse("its weights have no scales");
  lstmBy(call, "dynamic_lstm", {{8, "w_scale"}, {9, "w_zero"}, {10, "r_scale"}, {11, "r_zero"}});
}

static void gru(Call &call) {
  Recurrent r = begin(call, 2, {"sigmoid", "tanh"});
  if (call.integer("linear_before_reset", 0) != 0)
    r.arguments += ", reset_after=True";
  finish(call, r, "onnx_gru(" + r.arguments + ")", 2);
}

static void rnn(Call &call) {
  Recurrent r = begin(call, 1, {"tanh"});
  finish(call, r, "onnx_rnn(" + r.arguments + ")", 2);
}

std::vector<Op> recurrentOps() {
  return {
      {"LSTM", 7, "onnx_lstm(x, w, r, bias=b)", lstm},
      {"DynamicQuantizeLSTM", 1, "dynamic_lstm(x, w, r, w_scale, r_scale, bias=b)", dynamicLstm, "", "com.microsoft"},
      {"GRU", 7, "onnx_gru(x, w, r, bias=b)", gru},
      {"RNN", 7, "onnx_rnn(x, w, r, bias=b)", rnn},
  };
}

} // namespace kiln::onnx
