// Settings of answers: those that a `generate` block has go into it, the others are told.
#include "frontend/huggingface/Generation.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

namespace kiln::huggingface {

namespace {

/// Nothing where the key is not there, null, or says what goes without saying. Throws Error for what is no number.
std::optional<double> unusual(const Json &settings, const char *key, double usual) {
  double value = settings.numberOr(key, usual);
  return value != usual ? std::optional(value) : std::nullopt;
}

std::string plainNumber(double value) {
  std::string text = kilnNumber(value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

/// A whole number above 0; nothing where the key is not there, null or 0. Throws Error for what is none.
std::optional<int64_t> wholeOf(const Json &settings, const char *key, const std::string &what) {
  std::optional<double> value = unusual(settings, key, 0);
  if (value && (*value != std::floor(*value) || *value < 0 || *value > INT32_MAX))
    fail("%s: '%s' is %s; a whole number is expected", what.c_str(), key, plainNumber(*value).c_str());
  return value ? std::optional(static_cast<int64_t>(*value)) : std::nullopt;
}

using Tokens = std::vector<int64_t>;

/// A list of tokens; one alone is one. Throws Error for what is none.
Tokens tokensIn(const Json &value, const char *key, const std::string &what) {
  Tokens out;
  auto add = [&](const Json &token) {
    if (!token.isInt() || token.number() < 0 || token.number() > INT32_MAX)
      fail("%s: '%s' has an entry that is no token; whole numbers from 0 up are expected", what.c_str(), key);
    out.push_back(token.integer(0, INT32_MAX));
  };
  if (!value.isArray())
    add(value);
  for (size_t i = 0; value.isArray() && i < value.array().size(); ++i)
    add(value.array()[i]);
  return out;
}

Tokens tokensOf(const Json &settings, const char *key, const std::string &what) {
  const Json *value = settings.find(key);
  return value && !value->isNull() ? tokensIn(*value, key, what) : Tokens();
}

/// [3, 4] as the text has it.
std::string listOf(const Tokens &tokens) {
  std::string out;
  for (int64_t token : tokens)
    out += (out.empty() ? "" : ", ") + std::to_string(token);
  return "[" + out + "]";
}

constexpr int64_t kMostBeams = 64;

/// Settings that no block has, as `key=value`.
std::string untaken(const Json &settings) {
  std::string out;
  auto add = [&](const std::string &text) { out += (out.empty() ? "" : ", ") + text; };
  for (auto [key, usual] :
       {std::pair("encoder_repetition_penalty", 1.0), {"num_beam_groups", 1.0}, {"diversity_penalty", 0.0}})
    if (std::optional<double> value = unusual(settings, key, usual))
      add(std::string(key) + "=" + plainNumber(*value));
  if (std::optional<double> beams = unusual(settings, "num_beams", 1); beams && *beams > kMostBeams)
    add("num_beams=" + plainNumber(*beams) + " (more than " + std::to_string(kMostBeams) + ")");
  for (const char *key : {"sequence_bias", "exponential_decay_length_penalty", "force_words_ids", "constraints"})
    if (const Json *value = settings.find(key); value && !value->isNull())
      add(key);
  return out;
}

/// The tokens, and the sequences of them, that an answer never has: `suppress_tokens` and `bad_words_ids`, of which an
/// end alone is none.
std::string neverDrawn(const Json &settings, const std::string &what) {
  Tokens ends = tokensOf(settings, "eos_token_id", what);
  std::string out;
  auto add = [&](const std::string &entry) { out += (out.empty() ? "" : ", ") + entry; };
  for (int64_t token : tokensOf(settings, "suppress_tokens", what))
    add(std::to_string(token));
  const Json *words = settings.find("bad_words_ids");
  if (words && !words->isNull() && !words->isArray())
    fail("%s: 'bad_words_ids' is no list; a list of lists of tokens is expected", what.c_str());
  for (size_t i = 0; words && words->isArray() && i < words->array().size(); ++i) {
    const Json &word = words->array()[i];
    Tokens sequence = word.isArray() ? tokensIn(word, "bad_words_ids", what) : Tokens();
    if (sequence.empty())
      fail("%s: 'bad_words_ids' has an entry that is no list of tokens", what.c_str());
    if (sequence.size() > 1)
      add(listOf(sequence));
    else if (std::find(ends.begin(), ends.end(), sequence[0]) == ends.end())
      add(std::to_string(sequence[0]));
  }
  return out;
}

/// The rules of a block's `draw`, each with a comma behind it. `answers`: what is drawn does not go on with the prompt.
std::string rulesOf(const Json &settings, const std::string &what, bool answers) {
  std::string out;
  auto add = [&](const char *name, const std::string &value) {
    if (!value.empty())
      out += std::string(name) + "=" + value + ", ";
  };
  auto addNumber = [&](const char *name, std::optional<int64_t> value) {
    add(name, value ? std::to_string(*value) : "");
  };
  addNumber("no_repeat_ngram", wholeOf(settings, "no_repeat_ngram_size", what));
  addNumber("no_copy_ngram", wholeOf(settings, "encoder_no_repeat_ngram_size", what));
  std::optional<int64_t> shortest = wholeOf(settings, "min_length", what),
                         least = wholeOf(settings, "min_new_tokens", what);
  // (transformers counts what an answer begins with but for its first token, and takes the latter where both are there)
  if (answers && least)
    shortest = *least + 1;
  addNumber("shortest", answers || !least ? shortest : std::nullopt);
  addNumber("min_tokens", answers ? std::nullopt : least);
  Tokens last = tokensOf(settings, "forced_eos_token_id", what);
  add("last", last.size() == 1 ? std::to_string(last[0]) : last.empty() ? "" : listOf(last));
  std::string never = neverDrawn(settings, what);
  add("suppress", never.empty() ? "" : "[" + never + "]");
  Tokens first = tokensOf(settings, "begin_suppress_tokens", what);
  add("suppress_first", first.empty() ? "" : listOf(first));
  std::optional<int64_t> longest = wholeOf(settings, "max_length", what),
                         most = wholeOf(settings, "max_new_tokens", what);
  if (most)
    longest = *most + 1;
  if (answers && longest)
    add("longest", "min(context + 1, " + std::to_string(*longest) + ")");
  return out;
}

/// How a search ends, as transformers has it.
std::string stoppingOf(const Json &settings, const std::string &what) {
  const Json *value = settings.find("early_stopping");
  if (!value || value->isNull())
    return "False";
  if (value->kind() == Json::Kind::Bool)
    return value->boolean() ? "True" : "False";
  if (!value->isString() || value->string() != "never")
    fail("%s: 'early_stopping' is neither true nor false nor \"never\"", what.c_str());
  return "\"never\"";
}

/// The options that draw as a model's authors do.
std::string drawOptions(const Json &settings) {
  std::string out;
  for (auto [key, option, usual] : {std::tuple("temperature", "--temperature", -1.0),
                                    {"top_k", "--top-k", 0.0},
                                    {"top_p", "--top-p", 1.0},
                                    {"min_p", "--min-p", 0.0},
                                    {"repetition_penalty", "--repetition-penalty", 1.0}})
    if (std::optional<double> value = unusual(settings, key, usual))
      out += std::string(" ") + option + " " + plainNumber(*value);
  return out.empty() ? " --temperature 1" : out;
}

} // namespace

void takeGeneration(const Json &generation, const std::string &what, Imported &imported) {
  std::string &text = imported.text;
  const std::string greedy = "\n    draw = greedy(", header = "\nmodel " + imported.model + "(batch=1";
  size_t block = text.find("\ngenerate " + imported.model + ":");
  size_t draw = block == std::string::npos ? block : text.find(greedy, block);
  // (a model that hears is searched as its times want it)
  if (draw == std::string::npos || text.find("times=", draw) != std::string::npos)
    return;
  draw += greedy.size();
  bool isDrawn = generation.booleanOr("do_sample", false);
  std::optional<double> beams = unusual(generation, "num_beams", 1),
                        penalty = unusual(generation, "repetition_penalty", 1);
  if (beams && (*beams != std::floor(*beams) || *beams < 1))
    fail("%s: 'num_beams' is %s; a whole number from 1 up is expected", what.c_str(), plainNumber(*beams).c_str());
  if (penalty && *penalty <= 0)
    fail("%s: 'repetition_penalty' is %s; a number above 0 is expected", what.c_str(), plainNumber(*penalty).c_str());
  const Json *first = generation.find("forced_bos_token_id");
  int64_t begins = first ? first->integer(0, INT32_MAX) : 0;
  size_t line = text.find('\n', draw), from = text.find("from=decoder_start_token_id, ", draw);
  if (first && from < line) // (BART's text has it already)
    text.replace(from, 28, "from=[decoder_start_token_id, " + std::to_string(begins) + "], ");
  bool answers = text.find("from=", draw) < line;
  std::string settings = penalty && !isDrawn ? "repetition_penalty=" + kilnNumber(*penalty) + ", " : "";
  settings += rulesOf(generation, what, answers);
  size_t model = text.find(header);
  bool searches = !isDrawn && beams && *beams > 1 && *beams <= kMostBeams && model != std::string::npos;
  if (isDrawn)
    imported.notes.push_back(what + ": its answers are drawn; here they are greedy, unless they are asked for by" +
                             drawOptions(generation));
  if (searches)
    settings = "width=" + plainNumber(*beams) +
               ", length_penalty=" + kilnNumber(unusual(generation, "length_penalty", 1).value_or(1)) +
               ", early_stopping=" + stoppingOf(generation, what) +
               (generation.booleanOr("renormalize_logits", false) ? ", renormalise=True, " : ", ") + settings;
  text.insert(draw, settings);
  if (searches) {
    text.replace(draw - 7, 7, "beam(");
    text.replace(model + header.size() - 1, 1, plainNumber(*beams));
  }
  std::string others = untaken(generation);
  if (!others.empty())
    imported.notes.push_back(what + ": of what it says of answers, " + others + " is not taken");
}

} // namespace kiln::huggingface
