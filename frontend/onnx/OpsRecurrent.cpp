// LSTM, GRU and RNN, as calls of frontend/nn/onnx.kiln: the gates stand in the order that the file has them in.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

/// ONNX's names of activations, as functions of Kiln's.
static std::string activationOf(const std::string &name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char *known : {"sigmoid", "tanh", "relu", "softplus", "softsign"})
    if (lower == known)
      return known;
  refuse("its activation '" + name + "' is not there");
}

/// ", activations=(sigmoid, tanh)" where they are not the usual ones: `count` for each direction, the same in both.
static std::string activations(Call &call, size_t count, const std::vector<std::string> &usual, int64_t ways) {
  const Attribute *given = call.attribute("activations");
  if (!given)
    return "";
  if (given->kind != Attribute::Strings || given->texts.size() != count * static_cast<size_t>(ways))
    refuse("its activations are not " + std::to_string(count * static_cast<size_t>(ways)) + " names");
  std::string out;
  bool plain = true;
  for (size_t i = 0; i < given->texts.size(); ++i) {
    std::string name = activationOf(given->texts[i]);
    if (i >= count && name != activationOf(given->texts[i - count]))
      refuse("its directions have different activations");
    plain &= name == usual[i % count];
    if (i < count)
      out += (out.empty() ? "" : ", ") + name;
  }
  return plain ? "" : ", activations=(" + out + (count == 1 ? ",)" : ")");
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
  for (const char *name : {"activation_alpha", "activation_beta"})
    if (call.hasAttribute(name))
      refuse("its '" + std::string(name) + "' is not there");
  if (call.hasAttribute("clip"))
    refuse("its 'clip' is not there");
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
  const char *refused = "clip; activations with numbers of their own";
  return {
      {"LSTM", 7, "onnx_lstm(x, w, r, bias=b)", lstm, refused},
      {"DynamicQuantizeLSTM", 1, "dynamic_lstm(x, w, r, w_scale, r_scale, bias=b)", dynamicLstm, refused,
       "com.microsoft"},
      {"GRU", 7, "onnx_gru(x, w, r, bias=b)", gru, refused},
      {"RNN", 7, "onnx_rnn(x, w, r, bias=b)", rnn, refused},
  };
}

} // namespace kiln::onnx
