// Settings of answers: those that a `generate` block has go into it, the others are told.
#include "frontend/huggingface/Generation.h"

#include "runtime/support/Error.h"

#include <cmath>
#include <optional>
#include <tuple>

namespace kiln::huggingface {

namespace {

/// Nothing where the key is not there, null, or says what goes without saying.
std::optional<double> unusual(const Json &settings, const char *key, double usual) {
  const Json *value = settings.find(key);
  return value && value->isNumber() && value->number() != usual ? std::optional(value->number()) : std::nullopt;
}

std::string plainNumber(double value) {
  std::string text = kilnNumber(value);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

/// Settings that no block has, as `key=value`; what holds at an answer's last place alone is among them.
std::string untaken(const Json &settings) {
  std::string out;
  auto add = [&](const std::string &text) { out += (out.empty() ? "" : ", ") + text; };
  for (auto [key, usual] : {std::pair("no_repeat_ngram_size", 0.0),
                            {"encoder_no_repeat_ngram_size", 0.0},
                            {"encoder_repetition_penalty", 1.0},
                            {"min_length", 0.0},
                            {"min_new_tokens", 0.0},
                            {"forced_eos_token_id", -1.0},
                            {"num_beam_groups", 1.0},
                            {"diversity_penalty", 0.0}})
    if (std::optional<double> value = unusual(settings, key, usual))
      add(std::string(key) + "=" + plainNumber(*value));
  if (const Json *words = settings.find("bad_words_ids"); words && words->isArray())
    for (const Json &word : words->array())
      if (word.isArray() && word.array().size() > 1) {
        add("bad_words_ids of several tokens");
        break;
      }
  return out;
}

/// The options that draw as a model's authors do.
std::string drawOptions(const Json &settings) {
  std::string out;
  for (auto [key, option, usual] :
       {std::tuple("temperature", "--temperature", -1.0), {"top_k", "--top-k", 0.0}, {"top_p", "--top-p", 1.0}})
    if (std::optional<double> value = unusual(settings, key, usual))
      out += std::string(" ") + option + " " + plainNumber(*value);
  return out.empty() ? " --temperature 1" : out;
}

} // namespace

void takeGeneration(const Json &generation, const std::string &what, Imported &imported) {
  constexpr int64_t kMostBeams = 64;
  std::string &text = imported.text;
  const std::string greedy = "\n    draw = greedy(", header = "\nmodel " + imported.model + "(batch=1";
  size_t block = text.find("\ngenerate " + imported.model + ":");
  size_t draw = block == std::string::npos ? block : text.find(greedy, block);
  // (a model that hears is searched as its times want it)
  if (draw == std::string::npos || text.find("times=", draw) != std::string::npos)
    return;
  draw += greedy.size();
  const Json *samples = generation.find("do_sample");
  bool isDrawn = samples && samples->kind() == Json::Kind::Bool && samples->boolean();
  std::optional<double> beams = unusual(generation, "num_beams", 1),
                        penalty = unusual(generation, "repetition_penalty", 1);
  if (beams && *beams != std::floor(*beams))
    fail("%s: 'num_beams' is %s; a whole number is expected", what.c_str(), kilnNumber(*beams).c_str());
  size_t model = text.find(header);
  if (isDrawn) {
    imported.notes.push_back(what + ": its answers are drawn; here they are greedy, unless they are asked for by" +
                             drawOptions(generation));
  } else if (beams && *beams > 1 && *beams <= kMostBeams && model != std::string::npos) {
    std::optional<double> length = unusual(generation, "length_penalty", 1);
    text.replace(draw - 7, 7,
                 "beam(width=" + plainNumber(*beams) + ", length_penalty=" + kilnNumber(length.value_or(1)) + ", ");
    text.replace(model + header.size() - 1, 1, plainNumber(*beams));
  } else if (penalty && *penalty > 0) {
    text.insert(draw, "repetition_penalty=" + kilnNumber(*penalty) + ", ");
  }
  std::string others = untaken(generation);
  if (penalty && (isDrawn || beams))
    others += (others.empty() ? "" : ", ") + ("repetition_penalty=" + kilnNumber(*penalty));
  if (!others.empty())
    imported.notes.push_back(what + ": of what it says of answers, " + others + " is not taken");
}

} // namespace kiln::huggingface
