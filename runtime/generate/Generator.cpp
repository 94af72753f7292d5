// Prefill, step, and the search over beams.

#include "runtime/generate/Generator.h"

#include "runtime/generate/Rules.h"
#include "runtime/generate/Times.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kiln {

Generator::Generator(Program &program, const DrawSpec &draw, uint32_t seed, size_t known)
    : program_(program), draw_(draw), seed_(seed), known_(known), sampler_(draw) {
  const Json &recipe = program.manifest().generate;
  if (std::string why = program.manifest().undrawn(); !why.empty())
    throw Error(why);
  prefill_ = &program.call(recipe.at("prefill").string());
  step_ = &program.call(recipe.at("step").string());
  if (std::string extend = recipe.stringOr("extend", ""); !extend.empty() && program.manifest().findEntry(extend))
    extend_ = &program.call(extend);
  capacity_ = recipe.integerOr("capacity", 0);
  answers_ = !prefill_->entry().find(Role::Output, "logits", true);
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
    size_t end =
        draw_.timed ? std::min(vocabulary_, static_cast<size_t>(draw_.times)) : vocabulary_; // times have no text
    for (size_t row = 0; known_ > 0 && row < rows_; ++row)
      for (size_t token = known_; token < end; ++token)
        logits_[row * vocabulary_ + token] = -HUGE_VALF;
  }
}

double Generator::scoreOf(size_t row, int32_t token) {
  logSoftmax(logitsOf(row), scores_);
  return scores_[static_cast<size_t>(token)];
}

int64_t Generator::most(int64_t limit) const {
  bool goesOn = !answers_ && readsPrompt(); // it has a context, whose newest half is read again
  if (goesOn || draw_.longest == 0)
    return limit;
  int64_t left = draw_.longest - firstCount() - static_cast<int64_t>(draw_.before.size());
  left += draw_.timed; // "there are no times" is not fed
  if (left < 1)
    fail("an answer has %lld tokens at most, and begins with %lld already", static_cast<long long>(draw_.longest),
         static_cast<long long>(firstCount()));
  return std::min(limit, left);
}

int64_t Generator::room() const {
  int input = step_->input("token");
  if (input < 0)
    return 1;
  const ArgumentSpec &spec = step_->entry().arguments[static_cast<size_t>(input)];
  return spec.type.shape.empty() ? 1 : spec.bytes / static_cast<int64_t>(dtypeSize(spec.type.dtype));
}

/// How many tokens an answer begins with.
int64_t Generator::firstCount() const {
  if (!draw_.from.empty())
    return static_cast<int64_t>(draw_.from.size());
  const ArgumentSpec *first = prefill_->entry().find(Role::Output, "first", true);
  return first && first->type.shape.size() == 2 ? first->type.shape[1].constant().value_or(0) : 0;
}

/// Feeds what an answer begins with, token by token, in each row: what the recipe says, or what the prefill has found.
/// `told`: the rows, in whose histories it is.
int64_t Generator::feedFirst(size_t rows, Row *told) {
  std::vector<int32_t> all; // row by row
  int64_t count = firstCount();
  for (size_t row = 0; row < rows; ++row)
    all.insert(all.end(), draw_.from.begin(), draw_.from.end());
  if (draw_.from.empty())
    for (const TensorView &view : prefill_->results(Role::Output))
      for (int64_t i = 0; view.name == "first" && i < count * static_cast<int64_t>(rows); ++i)
        all.push_back(static_cast<int32_t>(loadInteger(view.dtype, view.data, i)));
  if (all.empty())
    fail("the `generate` recipe says no first token (from=…), and its prefill gives no logits");
  std::vector<int32_t> tokens(rows);
  if (count > 1 && draw_.timed && all.back() == draw_.times - 1) { // "there are no times", where there are some
    for (size_t row = 0; row < rows; ++row)
      all.erase(all.begin() + static_cast<std::ptrdiff_t>((row + 1) * static_cast<size_t>(count - 1)));
    --count;
  }
  auto before = static_cast<int64_t>(draw_.before.size());
  for (int64_t position = 0; position < before + count; ++position) {
    for (size_t row = 0; row < rows; ++row)
      tokens[row] = position < before ? draw_.before[static_cast<size_t>(position)]
                                      : all[row * static_cast<size_t>(count) + static_cast<size_t>(position - before)];
    for (size_t row = 0; told && row < rows; ++row)
      told[row].history.push_back(tokens[row]);
    step(tokens, position);
    if (int32_t nobody = draw_.times - 2; scored_ && position == before && nobody >= 0)
      noSpeech_ = static_cast<size_t>(nobody) < vocabulary_ ? std::exp(scoreOf(0, nobody)) : 0;
  }
  return before + count;
}

/// Inputs beside the prompt that have one row: the same one for every sequence.
void Generator::repeatInputs() {
  for (int input : prefill_->inputs()) {
    const ArgumentSpec &spec = prefill_->entry().arguments[static_cast<size_t>(input)];
    std::vector<int64_t> &shape = prefill_->shape(input);
    if (spec.name == "prompt" || shape.empty() || spec.type.shape[0] != Dim::symbol("B") ||
        shape[0] == static_cast<int64_t>(rows_))
      continue;
    int64_t row = *countElements(shape) * static_cast<int64_t>(dtypeSize(spec.type.dtype));
    if (shape[0] != 1)
      fail("the input '%s' has %lld rows; one is expected, or as many as sequences are drawn: %zu", spec.name.c_str(),
           static_cast<long long>(shape[0]), rows_);
    if (row * static_cast<int64_t>(rows_) > spec.bytes)
      fail("%zu sequences are more than '%s' takes; build with --bound B=%zu", rows_, prefill_->entry().name.c_str(),
           rows_);
    auto *data = static_cast<uint8_t *>(prefill_->data(input));
    for (size_t i = 1; i < rows_; ++i)
      std::memcpy(data + static_cast<size_t>(row) * i, data, static_cast<size_t>(row));
    shape[0] = static_cast<int64_t>(rows_);
  }
}

void Generator::prefill(std::span<const std::span<const int32_t>> prompts) {
  rows_ = prompts.size();
  program_.initialiseStates(seed_, true);
  int input = prefill_->input("prompt");
  if (input >= 0) {
    const ArgumentSpec &spec = prefill_->entry().arguments[static_cast<size_t>(input)];
    int64_t room = spec.bytes / static_cast<int64_t>(dtypeSize(spec.type.dtype));
    size_t length = prompts[0].size();
    if (static_cast<int64_t>(length) * static_cast<int64_t>(rows_) > room)
      fail("a prompt of %zu tokens in %zu rows does not fit '%s', which takes %lld numbers at most; a shorter prompt, "
           "fewer beams, or a larger --bound at build time helps",
           length, rows_, spec.name.c_str(), static_cast<long long>(room));
    prefill_->shape(input) = {static_cast<int64_t>(rows_), static_cast<int64_t>(length)};
    int64_t at = 0;
    for (std::span<const int32_t> prompt : prompts)
      for (int32_t token : prompt)
        storeInteger(spec.type.dtype, prefill_->data(input), at++, token);
  }
  repeatInputs();
  prefill_->run(seed_, 0);
  if (!answers_)
    takeLogits(*prefill_);
}

/// Runs a step over tokens of a shape, the first of them at a position.
void Generator::feed(Call &call, std::span<const int32_t> tokens, const std::vector<int64_t> &shape, int64_t position) {
  const std::vector<ArgumentSpec> &arguments = call.entry().arguments;
  if (int input = call.input("token"); input >= 0) {
    const ArgumentSpec &spec = arguments[static_cast<size_t>(input)];
    if (static_cast<int64_t>(tokens.size() * dtypeSize(spec.type.dtype)) > spec.bytes)
      fail("%zu sequences are more than '%s' takes; build with a larger --bound", tokens.size(),
           call.entry().name.c_str());
    if (!call.shape(input).empty())
      call.shape(input) = shape;
    for (size_t i = 0; i < tokens.size(); ++i)
      storeInteger(spec.type.dtype, call.data(input), static_cast<int64_t>(i), tokens[i]);
  }
  if (int input = call.input("position"); input >= 0)
    storeInteger(arguments[static_cast<size_t>(input)].type.dtype, call.data(input), 0, position);
  call.run(seed_, position);
  takeLogits(call);
}

void Generator::step(std::span<const int32_t> tokens, int64_t position) {
  feed(*step_, tokens, {static_cast<int64_t>(tokens.size())}, position);
}

/// Beams change places: none of what the step keeps has them on an axis with others, of which the manifest does not say
/// how they lie there.
void Generator::checkBeams() const {
  for (const ArgumentSpec &argument : step_->entry().arguments) {
    if (argument.role != Role::State || !(argument.donated || argument.result) || draw_.beams < 2)
      continue;
    for (const StateSpec &spec : program_.manifest().states)
      if (spec.name == argument.name && spec.isSession() && spec.batchAxis < 0)
        for (const Dim &dim : spec.type.shape)
          for (const std::string &symbol : dim.symbols())
            if (symbol == "B")
              fail("this program draws with one beam only: its step keeps '%s', %s, with the sequences on an axis with "
                   "others, where beams cannot change places; give --greedy or a --temperature",
                   spec.name.c_str(), spec.type.str().c_str());
  }
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
  if (draw_.kind != DrawSpec::Kind::Beam)
    return generateSeveral({prompt}, limit, {sequence},
                           [&](size_t, int32_t token, double score) { return each(token, score); })[0];
  std::vector<int32_t> tokens = search(prompt, limit);
  for (size_t i = 0; i < tokens.size(); ++i)
    if (!each(tokens[i], 0))
      tokens.resize(i + 1);
  return tokens;
}

/// Reads of each row's history the newest `most` tokens, or of these as many as the shortest has; how many those are.
int64_t Generator::read(std::vector<Row> &rows, size_t most) {
  size_t length = most;
  for (Row &row : rows) {
    row.from = row.history.size() - std::min(row.history.size(), most);
    length = std::min(length, row.history.size() - row.from);
  }
  std::vector<std::span<const int32_t>> prompts;
  for (const Row &row : rows)
    prompts.push_back(std::span(row.history).subspan(row.from, length));
  prefill(prompts);
  return static_cast<int64_t>(length);
}

/// What is never drawn, or is not as the first token.
void Generator::silence(size_t row, bool isFirst) {
  suppress(logitsOf(row), draw_.suppress);
  if (isFirst)
    suppress(logitsOf(row), draw_.suppressFirst);
}

/// The next token of a row; `number`: how many were drawn before it, `last`: none is drawn behind it.
int32_t Generator::choose(size_t row, const std::vector<int32_t> &history, std::span<const int32_t> prompt,
                          const RandomStream &random, size_t number, bool last) {
  silence(row, number == 0);
  penalise(logitsOf(row), history, draw_.repetitionPenalty);
  if (draw_.rules)
    draw_.rules->apply(logitsOf(row), {history, prompt, number, last}, draw_);
  if (draw_.timed)
    permitTimes(logitsOf(row), std::span(history).last(number), draw_);
  return draw_.kind == DrawSpec::Kind::Greedy ? argmax(logitsOf(row))
                                              : sampler_.draw(logitsOf(row), random.uniform(number));
}

/// What each row is fed at a position: the next token of its prompt, or one that is drawn.
void Generator::draw(std::vector<Row> &rows, int64_t position, int64_t limit,
                     const std::function<bool(size_t, int32_t, double)> &each) {
  for (size_t i = 0; i < rows.size(); ++i) {
    Row &row = rows[i];
    if (size_t at = row.from + static_cast<size_t>(position); !answers_ && at < row.history.size()) {
      row.last = row.history[at];
      continue;
    }
    if (!row.ended) {
      int32_t token = choose(i, row.history, row.prompt, row.random, row.tokens.size(),
                             static_cast<int64_t>(row.tokens.size()) + 1 == limit);
      row.ended = draw_.ends(token);
      if (row.ended && i == 0)
        end_ = End{token, scored_ ? scoreOf(0, token) : 0};
      if (!row.ended) {
        row.tokens.push_back(row.last = token);
        row.ended =
            !each(i, token, scored_ ? scoreOf(i, token) : 0) || static_cast<int64_t>(row.tokens.size()) == limit;
      }
    }
    row.history.push_back(row.last); // one that has ended is fed anything, so that all are at one position
  }
}

std::vector<std::vector<int32_t>> Generator::generateSeveral(const std::vector<std::vector<int32_t>> &prompts,
                                                             int64_t limit, const std::vector<uint32_t> &sequences,
                                                             const std::function<bool(size_t, int32_t, double)> &each) {
  std::vector<std::vector<int32_t>> drawn;
  if (draw_.kind == DrawSpec::Kind::Beam) {
    for (size_t i = 0; i < prompts.size(); ++i)
      drawn.push_back(generate(prompts[i], limit, sequences[i],
                               [&](int32_t token, double score) { return each(i, token, score); }));
    return drawn;
  }
  std::vector<Row> rows;
  end_.reset();
  for (size_t i = 0; i < prompts.size(); ++i)
    rows.push_back({prompts[i], prompts[i], RandomStream(seed_, namedStream("generate", 8), sequences[i])});
  auto capacity = static_cast<size_t>(capacity_);
  int64_t position = read(rows, capacity ? capacity : SIZE_MAX);
  std::vector<int32_t> tokens(rows.size());
  if (answers_) {
    for (Row &row : rows)
      row.history.clear();
    position = feedFirst(rows.size(), rows.data());
  }
  if (answers_ && draw_.longest > 0)
    limit = std::min(limit, std::max<int64_t>(1, draw_.longest - position));
  while (true) {
    draw(rows, position, limit, each);
    bool goesOn = false;
    for (size_t i = 0; i < rows.size(); ++i) {
      goesOn |= !rows[i].ended;
      tokens[i] = rows[i].last;
    }
    if (!goesOn)
      break;
    if (!answers_ && capacity && position >= capacity_)
      position = read(rows, std::max<size_t>(1, capacity / 2));
    else
      step(tokens, position++);
  }
  for (Row &row : rows)
    drawn.push_back(std::move(row.tokens));
  return drawn;
}

/// The first turn is read by the prefill, another one behind what was drawn last: at once where the program can.
void Generator::readTurn(const std::vector<int32_t> &turn) {
  size_t held = history_.size();
  if (capacity_ > 0 && static_cast<int64_t>(held + turn.size()) > capacity_)
    fail("the conversation has %zu tokens, this turn %zu more, and the context is of %lld: begin another one, or build "
         "the program with a longer context",
         held, turn.size(), static_cast<long long>(capacity_));
  history_.insert(history_.end(), turn.begin(), turn.end());
  if (held == 0) {
    std::span<const int32_t> all(history_);
    prefill({&all, 1});
    position_ = static_cast<int64_t>(history_.size());
  }
  auto read = static_cast<size_t>(position_);
  if (extend_ && read < history_.size()) {
    std::span<const int32_t> rest = std::span<const int32_t>(history_).subspan(read);
    feed(*extend_, rest, {1, static_cast<int64_t>(rest.size())}, position_);
    position_ += static_cast<int64_t>(rest.size());
  }
  for (; position_ < static_cast<int64_t>(history_.size()); ++position_)
    step({&history_[static_cast<size_t>(position_)], 1}, position_);
}

std::vector<int32_t> Generator::answer(const std::vector<int32_t> &turn, int64_t limit, uint32_t sequence,
                                       const std::function<bool(int32_t, double)> &each, bool &full) {
  if (answers_)
    fail("a conversation is of a model that goes on with what it has read; this one answers its prompt");
  readTurn(turn);
  RandomStream random(seed_, namedStream("generate", 8), sequence);
  std::vector<int32_t> tokens;
  full = false;
  while (true) {
    int32_t token =
        choose(0, history_, history_, random, tokens.size(), static_cast<int64_t>(tokens.size()) + 1 >= limit);
    if (draw_.ends(token))
      break;
    tokens.push_back(token);
    history_.push_back(token);
    if (!each(token, scored_ ? scoreOf(0, token) : 0) || static_cast<int64_t>(tokens.size()) >= limit)
      break;
    full = capacity_ > 0 && position_ >= capacity_;
    if (full)
      break;
    step({&token, 1}, position_++);
  }
  return tokens;
}

std::vector<int32_t> Generator::search(const std::vector<int32_t> &prompt, int64_t limit) {
  checkBeams();
  if (draw_.rules)
    return draw_.rules->search(*this, prompt, limit);
  Beams beams(draw_);
  auto width = static_cast<size_t>(draw_.beams);
  prefill(std::vector<std::span<const int32_t>>(width, prompt));
  auto position = static_cast<int64_t>(answers_ ? 0 : prompt.size());
  if (answers_)
    position = feedFirst(width);
  for (int64_t i = 0; i < limit; ++i) {
    for (size_t row = 0; row < width; ++row)
      silence(row, i == 0);
    beams.advance(logits_, vocabulary_);
    if (beams.done() || i + 1 == limit)
      break;
    if (capacity_ > 0 && position >= capacity_ && !answers_)
      break; // a search does not outlive its cache: its beams have different pasts
    reorder(beams.parents());
    step(beams.tokens(), position++);
  }
  return beams.best();
}

} // namespace kiln
