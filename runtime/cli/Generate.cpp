// PROGRAM generate
#include "runtime/cli/Commands.h"
#include "runtime/cli/Drawn.h"
#include "runtime/cli/Hearing.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Recordings.h"
#include "runtime/generate/Bleu.h"
#include "runtime/generate/Generator.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <numeric>

namespace kiln {

/// hearing.hear(…). The linker leaves it out of programs that hear nothing, where this is null
/// (frontend/driver/ImageObject.cpp).
extern "C" void kiln_hear_command(Hearing &hearing, const Words &words, Generator &generator, const Pieces &pieces,
                                  int64_t limit, uint32_t number, JsonOutput &json) __attribute__((weak));

namespace {

/// Token numbers, where there is no vocabulary.
std::vector<int32_t> numbersOf(const std::string &text, const char *what) {
  std::vector<int32_t> ids;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of(" ,", at), text.size());
    if (end > at) {
      std::string part = text.substr(at, end - at);
      char *stop = nullptr;
      long value = std::strtol(part.c_str(), &stop, 10);
      if (*stop || value < 0 || value > INT32_MAX)
        fail("%s: this model has no vocabulary, so token numbers are expected; found '%s'", what, part.c_str());
      ids.push_back(static_cast<int32_t>(value));
    }
    at = end + 1;
  }
  return ids;
}

/// `answered`: the prompt is read as a whole, and what is drawn does not go on with it.
std::vector<int32_t> encodePrompt(const Words &all, const std::string &text, bool given, bool answered) {
  const Vocabulary *words = all.prompt();
  std::vector<int32_t> ids = all.lead();
  std::vector<int32_t> own = words ? words->encode(text, "the prompt") : numbersOf(text, "the prompt");
  ids.insert(ids.end(), own.begin(), own.end());
  if (words && answered)
    ids.insert(ids.end(), all.trail().begin(), all.trail().end());
  if (!ids.empty() || given)
    return ids;
  // Without a prompt a text begins where a line does.
  if (words && words->kind() == Vocabulary::Kind::Characters)
    return {std::max(0, words->find("\n"))};
  if (words && words->tokenizer())
    return words->tokenizer()->start() >= 0 ? std::vector<int32_t>{words->tokenizer()->start()}
                                            : std::vector<int32_t>();
  return {words ? static_cast<int32_t>(EndToken) : 0};
}

/// What to draw together: prompts of like lengths, of equal ones where they are read as a whole. At most `rows` each.
std::vector<std::vector<size_t>> batchesOf(const std::vector<std::vector<int32_t>> &prompts, size_t rows, bool equal) {
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (rows > 1)
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return std::pair(prompts[a].size(), a) < std::pair(prompts[b].size(), b); });
  std::vector<std::vector<size_t>> batches;
  for (size_t i : order) {
    bool fits = !batches.empty() && batches.back().size() < rows &&
                (!equal || prompts[batches.back()[0]].size() == prompts[i].size());
    if (!fits)
      batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

/// How many prompts of a file are drawn together.
size_t rowsOf(const Options &options, const Generator &generator, const DrawSpec &draw) {
  if (draw.kind == DrawSpec::Kind::Beam) {
    if (options.has("batch"))
      throw UsageError("--batch draws several prompts at once; a search has its beams instead");
    return 1;
  }
  int64_t rows = options.integer("batch", generator.room(), 1, INT32_MAX);
  if (rows > generator.room())
    fail("--batch %lld: this program has room for %lld sequences at once; build it with --bound B=%lld",
         static_cast<long long>(rows), static_cast<long long>(generator.room()), static_cast<long long>(rows));
  return static_cast<size_t>(rows);
}

/// Where an answer is another sequence than its prompt, of one that is too long only the end is read.
void noteCut(const Generator &generator, const std::vector<int32_t> &prompt, const std::string &where) {
  if (generator.answersPrompt() && generator.capacity() > 0 &&
      static_cast<int64_t>(prompt.size()) > generator.capacity())
    std::fprintf(stderr, "note: %s has %zu tokens; this program reads %lld, its last ones\n", where.c_str(),
                 prompt.size(), static_cast<long long>(generator.capacity()));
}

/// Many prompts, one a line; with references, BLEU at the end.
int manyPrompts(const Options &options, const Words &words, Generator &generator, const DrawSpec &draw, int64_t limit,
                JsonOutput &json) {
  std::vector<std::string> lines = readLines(options.text("prompts")), references, answers(lines.size());
  if (options.has("reference")) {
    references = readLines(options.text("reference"));
    if (references.size() != lines.size())
      fail("'%s' has %zu lines, '%s' has %zu", options.text("prompts").c_str(), lines.size(),
           options.text("reference").c_str(), references.size());
  }
  std::vector<std::vector<int32_t>> prompts;
  for (const std::string &line : lines) {
    prompts.push_back(encodePrompt(words, line, true, generator.answersPrompt()));
    if (prompts.back().empty())
      fail("%s:%zu: the prompt is empty; each line needs at least one token", options.text("prompts").c_str(),
           prompts.size());
    noteCut(generator, prompts.back(), format("%s:%zu: the prompt", options.text("prompts").c_str(), prompts.size()));
  }
  std::vector<bool> done(lines.size());
  size_t told = 0;
  for (const std::vector<size_t> &batch :
       batchesOf(prompts, rowsOf(options, generator, draw), generator.answersPrompt())) {
    std::vector<std::vector<int32_t>> together;
    std::vector<Written> written;
    for (size_t i : batch) {
      together.push_back(prompts[i]);
      written.emplace_back(words.answer(), draw.stops, true);
    }
    std::vector<std::vector<int32_t>> drawn = generator.generateSeveral(
        together, limit, std::vector<uint32_t>(batch.begin(), batch.end()),
        [&](size_t row, int32_t token, double) { return draw.stops.empty() || written[row].add(token); });
    for (size_t row = 0; row < batch.size(); ++row) {
      answers[batch[row]] = draw.stops.empty() ? decode(words.answer(), drawn[row]) : written[row].text();
      done[batch[row]] = true;
    }
    for (; told < lines.size() && done[told]; ++told) { // in the order of the file
      json.line(JsonLine().add("prompt", lines[told]).add("text", answers[told]).str());
      if (!json.ownsStandardOutput())
        std::printf("%s\n", answers[told].c_str());
    }
  }
  if (!references.empty()) {
    double score = bleu(answers, references);
    json.line(JsonLine().add("bleu", score).str());
    std::fprintf(stderr, "BLEU %.2f over %zu sentences\n", score, answers.size());
  }
  return 0;
}

/// One sequence: written as it is drawn, and a line of JSON at its end.
void oneSample(const Words &words, Generator &generator, const DrawSpec &draw, const std::vector<int32_t> &prompt,
               const std::string &text, int64_t limit, uint32_t number, JsonOutput &json, bool scored, bool answered) {
  bool print = !json.ownsStandardOutput();
  // A text goes on where its prompt ends; an answer in another vocabulary stands alone.
  bool continues = words.prompt() == words.answer() && !answered;
  if (print && continues)
    std::fputs(text.c_str(), stdout);
  Written written(words.answer(), draw.stops, !continues || text.empty());
  std::string scores;
  std::vector<int32_t> ids = generator.generate(prompt, limit, number, [&](int32_t token, double score) {
    scores += (scores.empty() ? "" : ",") + shortest(score);
    bool goesOn = written.add(token);
    if (print) {
      std::fputs(written.take().c_str(), stdout);
      std::fflush(stdout);
    }
    return goesOn;
  });
  if (print)
    std::printf("%s\n", written.take(true).c_str());
  if (!json)
    return;
  JsonLine line;
  line.add("prompt", text).add("text", draw.stops.empty() ? decode(words.answer(), ids) : written.text());
  line.addRaw("tokens", listOf(ids));
  if (scored)
    line.addRaw("log_probabilities", "[" + scores + "]");
  json.line(line.str());
}

/// What the prefill reads beside the prompt, or in its place.
Pieces setPrefillInputs(const Options &options, const Manifest &manifest, Generator &generator) {
  Pieces pieces;
  Call &call = generator.prefillCall();
  int prompt = call.input("prompt");
  if (!generator.readsPrompt() && (options.has("prompt") || options.has("prompts"))) {
    std::string names;
    for (int input : call.inputs()) {
      const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
      names += (names.empty() ? "" : ", ") + argument.name + " " + argument.type.str();
    }
    fail("this program reads no prompt; it answers %s: give it with --input NAME=FILE, and what the answer begins with "
         "with --from",
         names.c_str());
  }
  for (const std::string &text : options.list("input"))
    if (prompt >= 0 && splitInput(text, call).first == "prompt")
      throw UsageError("--input prompt=…: the prompt is what --prompt says");
  setInputs(call, options, manifest, [&](int input) { return input == prompt; }, &pieces);
  return pieces;
}

/// --from: what is fed before anything is drawn.
void takeFirst(const Options &options, const Words &words, const Generator &generator, DrawSpec &draw) {
  if (!options.has("from"))
    return;
  if (!generator.answersPrompt())
    fail("--from is what an answer begins with; this program goes on with its prompt, which --prompt says");
  std::string text = options.text("from");
  draw.from = words.answer() ? words.answer()->encode(text, "--from") : numbersOf(text, "--from");
  if (draw.from.empty())
    fail("--from is empty; at least one token is expected");
}

} // namespace

/// The linker takes it into programs that draw alone (frontend/driver/ImageObject.cpp).
extern "C" int kiln_generate_command(const Options &options, Common &common) {
  if (options.has("prompt") && options.has("prompts"))
    throw UsageError("--prompt is one, --prompts a file of many: give one of them");
  for (const char *option : {"samples", "log-probabilities"})
    if (options.has(option) && options.has("prompts"))
      throw UsageError(format("--%s is about one --prompt, not a file of many", option));
  for (auto [option, does] : {std::pair("reference", "answers"), std::pair("batch", "draws together")})
    if (options.has(option) && !options.has("prompts"))
      throw UsageError(format("--%s %s the prompts of --prompts FILE: give that too", option, does));
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  if (std::string why = manifest.undrawn(); !why.empty())
    throw Error(why);
  DrawSpec draw = drawSpec(options, manifest.generate);
  if (draw.kind == DrawSpec::Kind::Beam && options.has("log-probabilities"))
    throw UsageError("--log-probabilities are those of tokens that are drawn one after the other; a search has none");
  Words words(options, common, manifest, sourceOf(manifest));
  Generator generator(*program, draw, common.seed, words.answer() ? words.answer()->size() : 0);
  takeFirst(options, words, generator, draw);
  int64_t usual = draw.tokens > 0 ? draw.tokens : draw.longest > 0 ? draw.longest : 200;
  int64_t wanted = options.integer("tokens", usual, 1, INT32_MAX), limit = generator.most(wanted);
  if (options.has("tokens") && limit < wanted)
    std::fprintf(stderr, "note: --tokens %lld: an answer has room for %lld\n", static_cast<long long>(wanted),
                 static_cast<long long>(limit));
  JsonOutput json(common.json, common.jsonPath);
  bool answered = generator.answersPrompt();
  Pieces pieces = setPrefillInputs(options, manifest, generator);
  if (options.has("prompts") && pieces.count() > 1)
    fail("--prompts are many already, and the recording is too long for one answer: cut it");
  draw.timed = isTimed(options, draw, pieces);
  Hearing hearing(options, draw);
  if (pieces.count() > 1 && !draw.timed)
    std::fprintf(stderr,
                 "note: the recording is %.1f seconds long, and is heard in %zu pieces of up to %.1f, each by "
                 "itself\n",
                 pieces.seconds(), pieces.count(), pieces.longest());
  if (options.has("prompts"))
    return manyPrompts(options, words, generator, draw, limit, json);
  std::string text = options.text("prompt");
  std::vector<int32_t> prompt;
  if (generator.readsPrompt())
    prompt = encodePrompt(words, text, options.has("prompt"), answered);
  noteUnknown(words.prompt(), text);
  if (prompt.empty() && generator.readsPrompt())
    fail("the prompt is empty; give at least one token with --prompt");
  noteCut(generator, prompt, "the prompt");
  int64_t samples = options.integer("samples", 1, 1, 1 << 20);
  generator.score(options.has("log-probabilities"));
  for (int64_t i = 0; draw.timed && i < samples; ++i)
    kiln_hear_command(hearing, words, generator, pieces, wanted, static_cast<uint32_t>(i), json);
  for (int64_t i = 0; !draw.timed && i < samples; ++i)
    for (size_t piece = 0; piece < pieces.count(); ++piece) {
      pieces.set(generator.prefillCall(), piece);
      oneSample(words, generator, draw, prompt, text, limit, static_cast<uint32_t>(i), json,
                options.has("log-probabilities"), answered);
    }
  return 0;
}

} // namespace kiln
