// Options to draw by, and drawn tokens as text.
#include "runtime/cli/Drawn.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdio>

namespace kiln {

/// Null in programs without rules (runtime/cli/RuleOptions.cpp).
extern "C" void kiln_rule_options(const Options &options, const Json &recipe, DrawSpec &spec) __attribute__((weak));

DrawSpec drawSpec(const Options &options, const Json &recipe) {
  DrawSpec spec = DrawSpec::parse(recipe.find("draw"));
  bool sampling = options.has("temperature") || options.has("top-k") || options.has("top-p") || options.has("min-p");
  if (options.has("greedy") + options.has("beam") + sampling > 1)
    throw UsageError("--greedy, --beam and the sampling options exclude each other");
  if (options.has("greedy"))
    spec.kind = DrawSpec::Kind::Greedy;
  if (options.has("beam"))
    spec.kind = DrawSpec::Kind::Beam;
  if (sampling)
    spec.kind = DrawSpec::Kind::Sample;
  spec.temperature = options.number("temperature", spec.temperature);
  spec.topK = options.integer("top-k", spec.topK, 0, INT32_MAX);
  spec.topP = options.number("top-p", spec.topP);
  spec.minP = options.number("min-p", spec.minP);
  spec.repetitionPenalty = options.number("repetition-penalty", spec.repetitionPenalty);
  if (kiln_rule_options)
    kiln_rule_options(options, recipe, spec);
  else if (options.has("no-repeat-ngram") || options.has("min-tokens"))
    fail("this program was built without rules of answers; its recipe has to say one: draw = greedy(min_tokens=1)");
  if (options.has("stop"))
    spec.stops = options.list("stop");
  spec.beams = options.integer("beam", spec.beams, 1, 1024);
  spec.lengthPenalty = options.number("length-penalty", spec.lengthPenalty);
  if (options.has("length-penalty") && spec.kind != DrawSpec::Kind::Beam)
    throw UsageError("--length-penalty ranks beams, and this draws without: give --beam N too");
  spec.check();
  return spec;
}

std::string sourceOf(const Manifest &manifest) {
  return manifest.generate.stringOr("data", manifest.data.empty() ? "" : manifest.data[0].name);
}

std::string decode(const Vocabulary *words, const std::vector<int32_t> &ids) {
  if (words)
    return words->decode(ids);
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

std::string listOf(const std::vector<int32_t> &ids) {
  std::string list;
  for (int32_t id : ids)
    list += (list.empty() ? "[" : ",") + std::to_string(id);
  return list.empty() ? "[]" : list + "]";
}

bool Written::add(int32_t token) {
  std::string piece = words_ ? words_->piece(token, first_) : (first_ ? "" : " ") + std::to_string(token);
  first_ = first_ && piece.empty();
  size_t from = text_.size();
  text_ += piece;
  size_t end = std::string::npos;
  for (const std::string &stop : stops_)
    end = std::min(end, text_.find(stop, from > stop.size() ? from - stop.size() : 0));
  if (end == std::string::npos)
    return true;
  text_.resize(end);
  ended_ = true;
  return false;
}

std::string Written::take(bool all) {
  size_t sure = text_.size();
  if (!all && !ended_)
    for (const std::string &stop : stops_)
      for (size_t length = std::min(stop.size(), text_.size()); length > 0; --length)
        if (text_.ends_with(std::string_view(stop).substr(0, length))) {
          sure = std::min(sure, text_.size() - length);
          break;
        }
  std::string piece = sure > taken_ ? text_.substr(taken_, sure - taken_) : std::string();
  taken_ = std::max(taken_, sure);
  return piece;
}

void noteUnknown(const Vocabulary *words, const std::string &text) {
  std::vector<std::string> unknown = words ? words->unknownIn(text) : std::vector<std::string>();
  if (unknown.empty())
    return;
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(unknown.size(), 5); ++i)
    list += (i ? ", " : "") + jsonQuote(unknown[i]);
  if (unknown.size() > 5)
    list += format(" and %zu more", unknown.size() - 5);
  std::fprintf(stderr, "note: not in the vocabulary, and unknown to the model: %s\n", list.c_str());
}

} // namespace kiln
