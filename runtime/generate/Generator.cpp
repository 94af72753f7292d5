// Prefill, step, and the search over beams.

#include "runtime/generate/Generator.h"

#include "runtime/random/Philox.h"
#include "runtime/support/Error.h"

#include <cmath>
#include <cstring>

namespace kiln {

Generator::Generator(Program &program, const DrawSpec &draw, uint32_t seed, size_t known)
    : program_(program), draw_(draw), seed_(seed), known_(known),
      rows_(draw.kind == DrawSpec::Kind::Beam ? static_cast<size_t>(draw.beams) : 1) {
  const Json &recipe = program.manifest().generate;
  if (!recipe.isObject() || !recipe.find("prefill") || !recipe.find("step"))
    fail("this program draws no sequences: the model has no `generate` recipe");
  for (const char *key : {"prefill", "step"})
    if (!program.manifest().findEntry(recipe.at(key).string()))
      fail("this program was built without '%s'; build it with --entry generate, or without --entry",
           recipe.at(key).string().c_str());
  prefill_ = &program.call(recipe.at("prefill").string());
  step_ = &program.call(recipe.at("step").string());
  capacity_ = recipe.integerOr("capacity", 0);
}

void Generator::takeLogits(Call &call) {
  for (const TensorView &view : call.results(Role::Output)) {
    if (view.name != "logits")
      continue;
    if (view.shape.size() != 2 || view.shape[0] != static_cast<int64_t>(rows_) || view.shape[1] < 1)
      fail("'%s' gives logits of the shape %s, expected [%zu, V]", call.entry().name.c_str(),
           describeShape(view.shape).c_str(), rows_);
    vocabulary_ = static_cast<size_t>(view.shape[1]);
    logits_.resize(rows_ * vocabulary_);
    std::string why;
    if (!convertElements(view.dtype, view.data, KILN_F32, logits_.data(), static_cast<int64_t>(logits_.size()), why))
      fail("'%s' gives logits that are no numbers to draw by: %s", call.entry().name.c_str(), why.c_str());
    for (size_t row = 0; known_ > 0 && row < rows_; ++row)
      for (size_t token = known_; token < vocabulary_; ++token)
        logits_[row * vocabulary_ + token] = -HUGE_VALF;
  }
}

double Generator::scoreOf(int32_t token) {
  logSoftmax(std::span<const float>(logits_.data(), vocabulary_), scores_);
  return scores_[static_cast<size_t>(token)];
}

bool Generator::prefill(std::span<const int32_t> prompt) {
  program_.initialiseStates(seed_, true);
  int input = prefill_->input("prompt");
  if (input >= 0) {
    const ArgumentSpec &spec = prefill_->entry().arguments[static_cast<size_t>(input)];
    int64_t room = spec.bytes / static_cast<int64_t>(dtypeSize(spec.type.dtype));
    if (static_cast<int64_t>(prompt.size()) * static_cast<int64_t>(rows_) > room)
      fail("a prompt of %zu tokens in %zu rows does not fit '%s', which takes %lld numbers at most; a shorter prompt, "
           "fewer beams, or a larger --bound at build time helps",
           prompt.size(), rows_, spec.name.c_str(), static_cast<long long>(room));
    prefill_->shape(input) = {static_cast<int64_t>(rows_), static_cast<int64_t>(prompt.size())};
    for (size_t row = 0; row < rows_; ++row)
      for (size_t i = 0; i < prompt.size(); ++i)
        storeInteger(spec.type.dtype, prefill_->data(input), static_cast<int64_t>(row * prompt.size() + i), prompt[i]);
  }
  prefill_->run(seed_, 0);
  bool gives = false;
  for (const ArgumentSpec &argument : prefill_->entry().arguments)
    gives |= argument.role == Role::Output && argument.name == "logits";
  if (gives)
    takeLogits(*prefill_);
  return gives;
}

void Generator::step(std::span<const int32_t> tokens, int64_t position) {
  if (int input = step_->input("token"); input >= 0) {
    const ArgumentSpec &spec = step_->entry().arguments[static_cast<size_t>(input)];
    if (static_cast<int64_t>(tokens.size() * dtypeSize(spec.type.dtype)) > spec.bytes)
      fail("%zu beams are more than '%s' takes; build with a larger --bound", tokens.size(),
           step_->entry().name.c_str());
    std::vector<int64_t> &shape = step_->shape(input);
    if (!shape.empty())
      shape[0] = static_cast<int64_t>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i)
      storeInteger(spec.type.dtype, step_->data(input), static_cast<int64_t>(i), tokens[i]);
  }
  if (int input = step_->input("position"); input >= 0)
    storeInteger(step_->entry().arguments[static_cast<size_t>(input)].type.dtype, step_->data(input), 0, position);
  step_->run(seed_, position);
  takeLogits(*step_);
}

/// Row i of every session state becomes what row parents[i] was.
void Generator::reorder(const std::vector<int32_t> &parents) {
  for (size_t s = 0; s < program_.states().size(); ++s) {
    const StateSpec &spec = program_.manifest().states[s];
    const std::vector<int64_t> &shape = program_.sessionShape(s);
    if (!spec.isSession() || spec.batchAxis < 0 || shape.empty())
      continue;
    size_t axis = static_cast<size_t>(spec.batchAxis), outer = 1, inner = dtypeSize(spec.type.dtype);
    for (size_t d = 0; d < axis; ++d)
      outer *= static_cast<size_t>(shape[d]);
    for (size_t d = axis + 1; d < shape.size(); ++d)
      inner *= static_cast<size_t>(shape[d]);
    size_t rows = static_cast<size_t>(shape[axis]);
    if (rows != parents.size())
      fail("the session state '%s' has %zu rows where %zu beams are", spec.name.c_str(), rows, parents.size());
    uint8_t *data = program_.states()[s].memory.data();
    moved_.assign(data, data + outer * rows * inner);
    for (size_t o = 0; o < outer; ++o)
      for (size_t row = 0; row < rows; ++row)
        std::memcpy(data + (o * rows + row) * inner,
                    moved_.data() + (o * rows + static_cast<size_t>(parents[row])) * inner, inner);
  }
}

std::vector<int32_t> Generator::generate(const std::vector<int32_t> &prompt, int64_t limit, uint32_t sequence,
                                         const std::function<bool(int32_t, double)> &each) {
  if (draw_.kind == DrawSpec::Kind::Beam) {
    std::vector<int32_t> tokens = search(prompt, limit);
    for (size_t i = 0; i < tokens.size(); ++i)
      if (!each(tokens[i], 0))
        tokens.resize(i + 1);
    return tokens;
  }
  std::vector<int32_t> history = prompt, tokens;
  bool decoderOnly = false;
  auto read = [&](size_t most) {
    std::span<const int32_t> all(history);
    decoderOnly = prefill(most && all.size() > most ? all.last(most) : all);
    return static_cast<int64_t>(most ? std::min(all.size(), most) : all.size());
  };
  int64_t position = read(0 < capacity_ ? static_cast<size_t>(capacity_) : 0);
  if (!decoderOnly) {
    if (draw_.from < 0)
      fail("the `generate` recipe says no first token (from=…), and its prefill gives no logits");
    position = 0;
    step(std::span(&draw_.from, 1), position++);
  }
  Sampler sampler(draw_);
  RandomStream random(seed_, namedStream("generate", 8), sequence);
  while (static_cast<int64_t>(tokens.size()) < limit) {
    std::span<float> row(logits_.data(), vocabulary_);
    penalise(row, history, draw_.repetitionPenalty);
    int32_t token =
        draw_.kind == DrawSpec::Kind::Greedy ? argmax(row) : sampler.draw(row, random.uniform(tokens.size()));
    if (draw_.ends(token))
      break;
    tokens.push_back(token);
    history.push_back(token);
    if (!each(token, scored_ ? scoreOf(token) : 0) || static_cast<int64_t>(tokens.size()) == limit)
      break;
    if (decoderOnly && capacity_ > 0 && position >= capacity_)
      position = read(static_cast<size_t>(std::max<int64_t>(1, capacity_ / 2)));
    else
      step(std::span(&tokens.back(), 1), position++);
  }
  return tokens;
}

std::vector<int32_t> Generator::search(const std::vector<int32_t> &prompt, int64_t limit) {
  Beams beams(draw_);
  int64_t position = 0;
  if (prefill(prompt)) {
    position = static_cast<int64_t>(prompt.size());
  } else {
    if (draw_.from < 0)
      fail("the `generate` recipe says no first token (from=…), and its prefill gives no logits");
    step(std::vector<int32_t>(rows_, draw_.from), position++);
  }
  for (int64_t i = 0; i < limit; ++i) {
    beams.advance(logits_, vocabulary_);
    if (beams.done() || i + 1 == limit)
      break;
    if (capacity_ > 0 && position >= capacity_ && prefill_->entry().find(Role::Output, "logits", true))
      break; // a search does not outlive its cache: its beams have different pasts
    reorder(beams.parents());
    step(beams.tokens(), position++);
  }
  return beams.best();
}

} // namespace kiln
